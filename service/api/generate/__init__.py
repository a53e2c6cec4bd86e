"""POST /generate and GET /responses/{id}."""
