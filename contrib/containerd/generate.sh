#!/bin/sh
# Make the modules of plugins/img_plugins/backends/containerd/api from the .proto files there. It takes
#     pip install grpcio-tools==1.76.0
# whose output works with protobuf 6.31.1 and later (pyproject.toml asks for that): an older generator keeps older
# runtimes usable. Only messages are generated; calls are made from the services' descriptors (client.py).
set -eu
cd "$(dirname "$0")/../../plugins"
api=img_plugins/backends/containerd/api
"${PYTHON:-python3}" -m grpc_tools.protoc -I . --python_out=. --pyi_out=. $api/*.proto
for file in $api/*_pb2.py $api/*_pb2.pyi; do
    printf '# Made by contrib/containerd/generate.sh from %s.proto.\n' "${file%_pb2.*}" | cat - "$file" > "$file.new"
    mv "$file.new" "$file"
done
