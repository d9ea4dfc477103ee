// Reads tables as JSON: the transformations of a panel and the frames of its queries. Applies Grafana's own
// transformations, and writes what is left of each: the columns by the names that people see, and their values.
// argv: a node_modules folder that holds @grafana/data.
const modules = process.argv[2];
const data = require(`${modules}/@grafana/data`);
const { firstValueFrom } = require(`${modules}/rxjs`);

globalThis.window = globalThis; // the transformations ask it whether they run in a scene
const transformers = new Map(Object.values(data.standardTransformers).map((each) => [each.id, each]));
data.standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((each) => ({ id: each.id, name: each.name, transformation: () => each })),
);

async function shown({ transformations, frames }) {
  const context = { interpolate: (text) => text };
  const after = await firstValueFrom(
    data.transformDataFrame(transformations, frames.map((frame) => data.toDataFrame(frame)), context),
  );
  return after.map((frame) =>
    frame.fields.map((field) => [data.getFieldDisplayName(field, frame, after), Array.from(field.values, (v) => v ?? null)]),
  );
}

const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
Promise.all(asked.map(shown)).then((all) => process.stdout.write(JSON.stringify(all)));
