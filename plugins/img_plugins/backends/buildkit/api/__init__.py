"""BuildKit's messages, made from the .proto files beside this one: see README.md."""
