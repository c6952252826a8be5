#include "client/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/support/proto_buffer_reader.h>

namespace quorate::client {

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  const grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return {&slice, 1};
}

Status FromBytes(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  grpc::ByteBuffer copy = bytes;  // The reader wants it mutable; only references are copied.
  grpc::ProtoBufferReader reader(&copy);
  if (!reader.status().ok() || !message->ParseFromZeroCopyStream(&reader)) {
    return Internal("the server's answer is no " + message->GetTypeName());
  }
  return absl::OkStatus();
}

Status WouldWaitForItself() {
  return FailedPrecondition(
      "this call waits, and was made on the client's own thread, in a callback: it would wait for itself. "
      "Use the form "
      "with a callback, or another thread");
}

}  // namespace quorate::client
