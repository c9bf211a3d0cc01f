-- People look for what became of a resource.
CREATE INDEX runs_by_resource ON runs (resource_key) WHERE resource_key IS NOT NULL;
