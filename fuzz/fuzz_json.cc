// The JSON gateway's reading of requests: it refuses, or what it understood is the same after writing and
// reading, as JSON and as protobuf.
//
// Byte 0, modulo the number of routes, chooses whose request the rest is; a body may hold several values.
#include <memory>
#include <string>

#include "base/check.h"
#include "fuzz/input.h"
#include "gateway/json_decode.h"
#include "gateway/json_encode.h"
#include "gateway/json_syntax.h"
#include "gateway/routes.h"

namespace quorate {
namespace {

using Request = google::protobuf::Message;

void CheckValue(const gateway::Route& route, std::string_view value) {
  // What is a value by itself is one in the middle of a text.
  gateway::JsonValues again(value);
  const auto same = again.Next();
  QUORATE_CHECK(same.ok() && *same == value && again.AtEnd());
  const std::unique_ptr<Request> request(route.request->New());
  if (!gateway::DecodeJson(value, request.get()).ok()) return;
  std::string json;
  gateway::AppendJson(json, *request);
  gateway::JsonValues written(json);
  const auto whole = written.Next();
  QUORATE_CHECK(whole.ok() && written.AtEnd());
  const std::unique_ptr<Request> back(route.request->New());
  QUORATE_CHECK(gateway::DecodeJson(*whole, back.get()).ok());
  std::string json_again;
  gateway::AppendJson(json_again, *back);
  QUORATE_CHECK(json == json_again);
  // The services read it.
  const std::unique_ptr<Request> parsed(route.request->New());
  QUORATE_CHECK(parsed->ParseFromString(request->SerializeAsString()));
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quorate::gateway::Routes;
  quorate::fuzz::KeepQuiet();
  quorate::fuzz::Input input(data, size);
  const auto& route = Routes()[input.Byte() % Routes().size()];
  quorate::gateway::JsonValues values(input.Rest());
  while (!values.AtEnd()) {
    const auto value = values.Next();
    if (!value.ok()) break;
    quorate::CheckValue(route, *value);
  }
  return 0;
}
