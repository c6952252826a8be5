// Protobuf messages from and to the bytes of a call.
#pragma once

#include <string>
#include <string_view>

#include "rpc/context.h"
#include "server/responses.h"

namespace quorate::rpc {

template <typename Message>
bool Parse(std::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Answers with `body`, whose header field is still unset, behind the header.
template <typename Message>
void RespondWith(Call& call, const server::ResponseHeader& header, const Message& body) {
  std::string out;
  server::AppendHeader(out, header);
  body.AppendToString(&out);
  call.Respond(out);
}

// The Lock and Election services of the original stand on its client library: what that gets as an error
// arrives with the same text, but without its code.
inline Status ThroughClient(const Status& status) { return status.ok() ? status : Unknown(Message(status)); }

inline server::Reply ReplyTo(Call call) {
  return [call](const Status& status, std::string_view response) mutable { call.Finish(status, response); };
}

}  // namespace quorate::rpc
