#include "gateway/json_exchange.h"

#include <google/protobuf/arena.h>

#include <utility>

#include "base/check.h"
#include "gateway/json_decode.h"
#include "gateway/json_encode.h"
#include "gateway/request_metadata.h"
#include "gateway/text_repair.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Arena;
using net::Code;

// Responses from this size on are written as JSON by a reader thread, so that the core need not.
constexpr size_t kEncodeHereMax = 64 * 1024;

Code ToCode(const Status& status) { return static_cast<Code>(status.code()); }

}  // namespace

std::string ResponseJson(const Route& route, std::string_view message) {
  Arena arena;
  google::protobuf::Message* response = route.response->New(&arena);
  if (!response->ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    std::string repaired(message);
    RepairText(*response->GetDescriptor(), &repaired);
    QUORATE_CHECK_MSG(response->ParseFromString(repaired),
                      "a service has answered with no message of its type");
  }
  std::string json;
  AppendJson(json, *response);
  return json;
}

Status ReadRequest(const Route& route, std::string_view json, Secret* bytes) {
  Arena arena;
  google::protobuf::Message* request = route.request->New(&arena);
  const Status status = DecodeJson(json, request);
  if (status.ok()) {
    ReserveWiping(bytes->mutable_bytes(), request->ByteSizeLong());
    request->AppendToString(bytes->mutable_bytes());
  }
  WipeTexts(request);
  return status;
}

void JsonExchange::Start(net::Server* server, const net::HttpRequest& request) {
  auto metadata = CallMetadata(request);
  if (!metadata.ok()) return Refuse(ToCode(metadata.status()), Message(metadata.status()));
  const auto timeout = CallTimeout(request);
  if (!timeout.ok()) return Refuse(ToCode(timeout.status()), Message(timeout.status()));
  reply_.OnClosed([self = shared_from_this()] { self->DropCall(); });
  reply_.OnWritable([weak = weak_from_this(), loop = server->loop()] {
    const std::shared_ptr<JsonExchange> self = weak.lock();
    if (self != nullptr && std::exchange(self->waits_, false)) self->turns_.Add(self);
    // The call looks at what its client has left in the next round: let there be one.
    loop->Post([] {});
  });
  call_ = net::LocalCall::Open(server,
                               {.path = route_.GrpcPath(),
                                .metadata = *std::move(metadata),
                                .peer = request.peer,
                                .timeout = *timeout},
                               this);
  if (route_.client_streaming) {
    SendAll(request.body);
  } else {
    SendOne(request.body);
  }
}

// Only the first value counts, as with the original.
void JsonExchange::SendOne(std::string_view body) {
  JsonValues values(body);
  Secret message;
  if (!values.AtEnd()) {
    const auto value = values.Next();
    const Status status = value.ok() ? ReadRequest(route_, *value, &message) : value.status();
    if (!status.ok()) return Refuse(Code::kInvalidArgument, Message(status));
  }
  call_->Send(message.view());
  call_->HalfClose();
}

void JsonExchange::SendAll(std::string_view body) {
  JsonValues values(body);
  Slice slice;
  if (!SendSome(values, slice) || call_ == nullptr) return;
  body_ = values.rest();
  rest_ = JsonValues(body_);
  if (!reply_.HoldRequest(body_.size())) {
    return Refuse(
        Code::kResourceExhausted,
        "transport: requests of " + std::to_string(body.size()) +
            " bytes in one body, and too much of other requests is held already: send fewer at once");
  }
  turns_.Add(weak_from_this());
}

// An error in the first one is the answer (without a code, as the original has it); one in a later one ends
// what the client says, and it gets what it has asked for before.
bool JsonExchange::SendSome(JsonValues& values, Slice& slice) {
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  while (!values.AtEnd()) {
    const size_t before = values.rest().size();
    const auto value = values.Next();
    Secret bytes;
    const Status status = value.ok() ? ReadRequest(route_, *value, &bytes) : value.status();
    if (!status.ok() && !any_sent_) return Refuse(Code::kUnknown, Message(status)), false;
    if (!status.ok()) break;
    any_sent_ = true;
    call_->Send(bytes.view());
    slice.Spend(before - values.rest().size());
    if (slice.over() && !values.AtEnd()) return true;
  }
  call_->HalfClose();
  return false;
}

bool JsonExchange::Work(Slice& slice) {
  if (call_ == nullptr) return false;
  if (reply_.full()) {
    waits_ = true;
    return false;
  }
  if (SendSome(rest_, slice)) return true;
  reply_.HoldRequest(0);
  body_ = std::string();
  return false;
}

void JsonExchange::DropCall() {
  if (call_ != nullptr) call_->Abandon();
  call_.reset();
}

void JsonExchange::Refuse(Code code, std::string_view message) {
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  DropCall();
  headers_.emplace_back("Content-Type", "application/json");
  reply_.Send(HttpStatus(code, era_), headers_, ErrorBody(code, message, era_));
}

void JsonExchange::BeginStream(int status) {
  begun_ = true;
  headers_.emplace_back("Content-Type", "application/json");
  headers_.emplace_back("Grpc-Metadata-Content-Type", "application/grpc");
  reply_.Begin(status, headers_);
}

void JsonExchange::OnResponse(std::string_view message) {
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  if (!route_.server_streaming) {
    response_ = message;
    return reply_.HoldOutput(JsonBytes(response_.size()));
  }
  if (!begun_) BeginStream(200);
  reply_.Write("{\"result\":" + ResponseJson(route_, message) + "}\n");
}

void JsonExchange::OnEnd(Code code, std::string_view message) {
  // Completing the answer drops what holds this object.
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  if (!route_.server_streaming) {
    if (code != Code::kOk) return Refuse(code, message);
    if (response_.size() > kEncodeHereMax) return EncodeElsewhere(std::move(response_));
    return SendBody(ResponseJson(route_, response_));
  }
  if (!begun_) BeginStream(HttpStatus(code, era_));
  if (code != Code::kOk) reply_.Write(StreamErrorLine(code, message, era_));
  reply_.End();
}

void JsonExchange::SendBody(std::string_view json) {
  headers_.emplace_back("Content-Type", "application/json");
  headers_.emplace_back("Grpc-Metadata-Content-Type", "application/grpc");
  reply_.HoldOutput(0);
  reply_.Send(200, headers_, json);
}

void JsonExchange::EncodeElsewhere(std::string message) {
  struct Job {
    std::string message;
    std::string json;
  };
  auto job = std::make_shared<Job>(Job{std::move(message), {}});
  executor_->Submit(
      Lane::kRead, [job, &route = route_] { job->json = ResponseJson(route, job->message); },
      [job, weak = weak_from_this()] {
        if (const std::shared_ptr<JsonExchange> self = weak.lock(); self != nullptr)
          self->SendBody(job->json);
      });
}

}  // namespace quorate::gateway
