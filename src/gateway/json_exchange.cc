#include "gateway/json_exchange.h"

#include <google/protobuf/arena.h>

#include <utility>

#include "base/check.h"
#include "gateway/json_decode.h"
#include "gateway/json_encode.h"
#include "gateway/json_syntax.h"
#include "gateway/request_metadata.h"
#include "gateway/text_repair.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Arena;
using net::Code;

// Responses from this size on are written as JSON by a reader thread, so that the core need not.
constexpr size_t kEncodeHereMax = 64 * 1024;
// What a call costs while it is open: 3 to 4 KB were measured.
constexpr size_t kCallBytes = 4096;

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

void JsonExchange::Open(net::Server* server, const net::HttpRequest& request, net::HttpReply reply) {
  reply_ = std::move(reply);
  auto metadata = CallMetadata(request);
  if (!metadata.ok()) return Refuse(ToCode(metadata.status()), Message(metadata.status()));
  const auto timeout = CallTimeout(request);
  if (!timeout.ok()) return Refuse(ToCode(timeout.status()), Message(timeout.status()));
  if (!Hold(0)) {
    return Refuse(Code::kResourceExhausted,
                  "transport: too much is kept for requests of this client: wait for some to be answered");
  }
  reply_.OnClosed([self = shared_from_this()] { self->DropCall(); });
  reply_.OnWritable([weak = weak_from_this(), loop = server->loop()] {
    if (const std::shared_ptr<JsonExchange> self = weak.lock(); self != nullptr) self->OnRoom();
    // The call looks at what its client has left in the next round: let there be one.
    loop->Post([] {});
  });
  call_ = net::LocalCall::Open(server,
                               {.path = route_.GrpcPath(),
                                .metadata = *std::move(metadata),
                                .peer = request.peer,
                                .timeout = *timeout},
                               this);
}

// Only the first value counts, as with the original.
void JsonExchange::Start(net::Server* server, const net::HttpRequest& request, net::HttpReply reply) {
  Open(server, request, std::move(reply));
  if (call_ == nullptr) return;
  JsonValues values(request.body);
  Secret message;
  if (!values.AtEnd()) {
    const auto value = values.Next();
    const Status status = value.ok() ? ReadRequest(route_, *value, &message) : value.status();
    if (!status.ok()) return Refuse(Code::kInvalidArgument, Message(status));
  }
  call_->Send(message.view());
  call_->HalfClose();
}

bool JsonExchange::Hold(size_t bytes) {
  held_ = bytes;
  return reply_.HoldRequest(kCallBytes + held_ + held_by_call_);
}

bool JsonExchange::OnHeld(size_t bytes) {
  held_by_call_ = bytes;
  return Hold(held_);
}

void JsonExchange::DropCall() {
  if (call_ != nullptr) call_->Abandon();
  call_.reset();
}

void JsonExchange::Refuse(Code code, std::string_view message) {
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  DropCall();
  if (begun_) {
    reply_.Write(StreamErrorLine(code, message, era_));
    return reply_.End();
  }
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
