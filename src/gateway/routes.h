// Which method a path of the JSON gateway stands for. Source: the google.api.http options in etcd's
// rpc.proto, v3lock.proto and v3election.proto (release-3.7).
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

namespace quorate::gateway {

struct Route {
  std::string_view path;  // "/v3/kv/range"
  std::string_view service;
  std::string_view method;
  // Set once; the messages live as long as the program.
  const google::protobuf::Message* request = nullptr;  // Empty messages of the types, to make others from.
  const google::protobuf::Message* response = nullptr;
  bool client_streaming = false;
  bool server_streaming = false;

  std::string GrpcPath() const;
};

// All of them, sorted by path.
const std::vector<Route>& Routes();
// Null: none.
const Route* FindRoute(std::string_view path);

}  // namespace quorate::gateway
