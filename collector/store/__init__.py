"""The view: what the chain says, in DuckDB, for analysts; deleted or damaged, it is built again from the chain."""
