{{/* The pod of one component: its metadata and spec. Takes root and component. */}}
{{- define "assay.pod" -}}
{{- $part := get .root.Values .component -}}
{{- $pod := mergeOverwrite (deepCopy .root.Values.pod) (deepCopy $part.pod) -}}
{{- $it := dict "root" .root "component" .component "part" $part "pod" $pod -}}
metadata:
  labels:
    {{- include "assay.selector" . | nindent 4 }}
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- with merge (dict) $pod.labels .root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "assay.config" . | sha256sum }}
    {{- with $pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "assay.serviceaccount" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $pod.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $pod.securityContext | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $pod.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{- toYaml (merge (dict) . (dict "labelSelector" (dict "matchLabels" (include "assay.selector" $ | fromYaml)))) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with include "assay.pod.initcontainers" $it }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    {{- include "assay.pod.container" $it | nindent 4 }}
    {{- with $pod.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "assay.pod.volumes" $it | nindent 4 }}
    {{- with $pod.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "assay.pod.initcontainers" -}}
{{- $copies := and .root.Values.detoxify.image (ne .component "serve") -}}
{{- if or $copies .pod.initContainers -}}
initContainers:
  {{- if $copies }}
  - name: detoxify
    image: {{ .root.Values.detoxify.image }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [cp, -R, {{ printf "%s/." .root.Values.detoxify.imagePath | quote }}, /detoxify/]
    securityContext:
      {{- toYaml .pod.containerSecurityContext | nindent 6 }}
    resources:
      requests: {cpu: 100m, memory: 64Mi}
      limits: {memory: 256Mi}
    volumeMounts:
      - {name: detoxify, mountPath: /detoxify}
  {{- end }}
  {{- with .pod.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "assay.pod.container" -}}
- name: assay
  image: {{ include "assay.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [run, --config, /etc/assay/config/assay.yaml, --log-level, {{ .root.Values.logLevel }}]
  securityContext:
    {{- toYaml .pod.containerSecurityContext | nindent 4 }}
  env:
    - {name: TMPDIR, value: /tmp}
    {{- with .root.Values.kafka.sasl.username }}
    {{- if and (eq $.component "score") $.root.Values.score.keda.enabled }}
    - {name: KAFKA_SASL_USERNAME, value: {{ . | quote }}} # KEDA reads it here
    {{- end }}
    {{- end }}
    {{- with .pod.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .pod.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: http, containerPort: 9464}
    {{- if .root.Values.otlp.enabled }}
    - {name: otlp, containerPort: 4318}
    {{- end }}
  startupProbe:
    {{- include "assay.pod.probe" (dict "root" .root "path" "/healthz" "probe" .pod.startupProbe) | nindent 4 }}
  livenessProbe:
    {{- include "assay.pod.probe" (dict "root" .root "path" "/healthz" "probe" .pod.livenessProbe) | nindent 4 }}
  readinessProbe:
    {{- include "assay.pod.probe" (dict "root" .root "path" "/readyz" "probe" .pod.readinessProbe) | nindent 4 }}
  resources:
    {{- include "assay.pod.resources" .part | nindent 4 }}
  volumeMounts:
    - {name: config, mountPath: /etc/assay/config, readOnly: true}
    - {name: data, mountPath: /var/lib/assay}
    - {name: tmp, mountPath: /tmp}
    {{- range include "assay.pod.secrets" . | fromYamlArray }}
    - {name: {{ .name }}, mountPath: {{ printf "/etc/assay/%s" .name }}, readOnly: true}
    {{- end }}
    {{- if and (include "assay.detoxify" .root) (ne .component "serve") }}
    - name: detoxify
      mountPath: /etc/assay/detoxify
      readOnly: true
      {{- if .root.Values.detoxify.existingClaim }}
      {{- with .root.Values.detoxify.subPath }}
      subPath: {{ . | quote }}
      {{- end }}
      {{- end }}
    {{- end }}
    {{- with .pod.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "assay.pod.probe" -}}
{{- $own := not (empty (or .probe.exec .probe.tcpSocket .probe.httpGet)) -}}
{{- $get := dict "path" .path "port" "http" "scheme" (ternary "HTTPS" "HTTP" .root.Values.webConfig.https) -}}
{{- $own | ternary .probe (merge (dict "httpGet" $get) .probe) | toYaml -}}
{{- end -}}

{{- define "assay.pod.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if .gpu -}}
{{- if .gpu.count -}}
{{- $resources = mergeOverwrite $resources (dict "limits" (dict .gpu.resource .gpu.count)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Secrets that a component mounts below /etc/assay, each under its name: `{name, secret, items}`. */}}
{{- define "assay.pod.secrets" -}}
{{- $values := .root.Values -}}
{{- $brokers := include "assay.brokers" . -}}
{{- with $values.kafka.sasl -}}
{{- if and $brokers .mechanism }}
- name: kafka-sasl
  secret: {{ .existingSecret | quote }}
  items:
    - {{ eq .mechanism "OAUTHBEARER" | ternary (dict "key" .tokenKey "path" "token") (dict "key" .passwordKey "path" "password") | toJson }}
{{- end -}}
{{- end -}}
{{- with $values.kafka.tls -}}
{{- if and $brokers .enabled .existingSecret }}
- name: kafka-tls
  secret: {{ .existingSecret | quote }}
  items:
    {{- if .caKey }}
    - {key: {{ .caKey | quote }}, path: ca.crt}
    {{- end }}
    {{- if .certificateKey }}
    - {key: {{ .certificateKey | quote }}, path: tls.crt}
    - {key: {{ .privateKeyKey | quote }}, path: tls.key}
    {{- end }}
{{- end -}}
{{- end -}}
{{- with $values.chain -}}
{{- if .existingSecret }}
- name: s3
  secret: {{ .existingSecret | quote }}
  items:
    - {key: {{ .accessKeyIdKey | quote }}, path: access-key-id}
    - {key: {{ .secretAccessKeyKey | quote }}, path: secret-access-key}
{{- end -}}
{{- end -}}
{{- with $values.webConfig -}}
{{- if .existingSecret }}
- name: web
  secret: {{ .existingSecret | quote }}
{{- end }}
{{- if .tlsSecret }}
- name: web-tls
  secret: {{ .tlsSecret | quote }}
{{- end -}}
{{- end -}}
{{- with $values.access -}}
{{- if and .existingSecret (ne $.component "score") }}
- name: access
  secret: {{ .existingSecret | quote }}
  items:
    - {key: {{ .sqlKey | quote }}, path: sql.yaml}
    - {key: {{ .evidenceKey | quote }}, path: evidence.yaml}
{{- end -}}
{{- end -}}
{{- with $values.alertmanager -}}
{{- if and .existingSecret (ne $.component "score") }}
- name: alertmanager
  secret: {{ .existingSecret | quote }}
  items:
    {{- if .username }}
    - {key: {{ .passwordKey | quote }}, path: password}
    {{- end }}
    {{- if .tokenKey }}
    - {key: {{ .tokenKey | quote }}, path: token}
    {{- end }}
    {{- if .caKey }}
    - {key: {{ .caKey | quote }}, path: ca.crt}
    {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "assay.pod.volumes" -}}
{{- $values := .root.Values -}}
- name: config
  configMap:
    name: {{ include "assay.componentname" . | quote }}
- name: tmp
  emptyDir: {sizeLimit: {{ .pod.tmpSizeLimit }}}
{{- if eq .component "score" }}
- name: data
  emptyDir: {sizeLimit: {{ $values.score.dataSizeLimit }}}
{{- else if not $values.persistence.enabled }}
- name: data
  emptyDir: {sizeLimit: {{ $values.persistence.emptyDirSizeLimit }}}
{{- end }}
{{- range include "assay.pod.secrets" . | fromYamlArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- if ne .component "serve" }}
{{- if $values.detoxify.existingClaim }}
- name: detoxify
  persistentVolumeClaim: {claimName: {{ $values.detoxify.existingClaim | quote }}, readOnly: true}
{{- else if $values.detoxify.image }}
- name: detoxify
  emptyDir: {sizeLimit: 4Gi}
{{- end }}
{{- end }}
{{- end -}}
