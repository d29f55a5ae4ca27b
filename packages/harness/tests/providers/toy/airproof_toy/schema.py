"""The only table."""

TABLE = "CREATE TABLE things (id text PRIMARY KEY)"
