"""What a person sees: server-rendered pages whose plain JavaScript works against the HTTP interface."""
