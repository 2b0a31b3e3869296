from img_plugins.backends.buildkit.api import caps_pb2 as _caps_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PongResponse(_message.Message):
    __slots__ = ("LLBCaps",)
    LLBCAPS_FIELD_NUMBER: _ClassVar[int]
    LLBCaps: _containers.RepeatedCompositeFieldContainer[_caps_pb2.APICap]
    def __init__(self, LLBCaps: _Optional[_Iterable[_Union[_caps_pb2.APICap, _Mapping]]] = ...) -> None: ...
