#include "gateway/json_socket.h"

#include <optional>
#include <utility>

#include "gateway/json_exchange.h"
#include "gateway/json_syntax.h"
#include "gateway/request_metadata.h"

namespace quorate::gateway {
namespace {

using net::Code;

constexpr uint16_t kNormalClosure = 1000;
constexpr size_t kMessageBytesMax = 4 * 1024 * 1024;

// A browser can set no Authorization header for a WebSocket, so the token comes as "Bearer, TOKEN" among the
// protocols.
std::optional<std::string> ProtocolToken(const net::HttpRequest& request) {
  constexpr std::string_view kBearer = "Bearer,";
  const std::string_view protocols = request.header("Sec-WebSocket-Protocol").value_or("");
  if (!protocols.starts_with(kBearer)) return std::nullopt;
  std::string_view token = protocols.substr(kBearer.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  while (token.ends_with(' ')) token.remove_suffix(1);
  return std::string(token);
}

}  // namespace

void JsonSocket::Open(const Route& route, Era era, net::Server* server, JsonTurns* turns,
                      const net::HttpRequest& request, net::HttpReply reply) {
  const std::shared_ptr<JsonSocket> self(new JsonSocket(route, era, turns));
  const auto token = ProtocolToken(request);
  net::HttpHeaders headers;
  if (token) headers.emplace_back("Sec-WebSocket-Protocol", "Bearer");
  self->socket_ = net::WebSocket::Accept(request, std::move(reply), headers, kMessageBytesMax, self.get());
  if (self->socket_ == nullptr) return;
  self->self_ = self;
  auto metadata = CallMetadata(request);
  const auto timeout = CallTimeout(request);
  const Status bad = metadata.ok() ? timeout.status() : metadata.status();
  if (!bad.ok()) return self->End(ErrorBody(Code::kInvalidArgument, Message(bad), era));
  if (token) metadata->insert(metadata->begin(), {"authorization", *token});
  self->call_ = net::LocalCall::Open(
      server,
      {.path = route.GrpcPath(), .metadata = *std::move(metadata), .peer = request.peer, .timeout = *timeout},
      self.get());
}

void JsonSocket::OnMessage(std::string_view text) {
  const std::shared_ptr<JsonSocket> self = self_;
  if (!kept_.empty() || (call_ != nullptr && call_->waits())) return Keep(text);
  JsonValues values(text);
  Slice slice;
  if (SendSome(values, slice)) Keep(values.rest());
}

bool JsonSocket::SendSome(JsonValues& values, Slice& slice) {
  while (call_ != nullptr && !values.AtEnd()) {
    const size_t before = values.rest().size();
    const auto value = values.Next();
    Secret bytes;
    const Status status = value.ok() ? ReadRequest(route_, *value, &bytes) : value.status();
    if (!status.ok()) {
      const Code code = route_.client_streaming ? Code::kUnknown : Code::kInvalidArgument;
      End(ErrorBody(code, Message(status), era_));
      return false;
    }
    if (std::exchange(asked_, true) && !route_.client_streaming) return false;
    call_->Send(bytes.view());
    if (!route_.client_streaming && call_ != nullptr) call_->HalfClose();
    slice.Spend(before - values.rest().size());
    if (slice.over() && !values.AtEnd()) return true;
  }
  return false;
}

void JsonSocket::Keep(std::string_view text) {
  kept_.emplace_back(text);
  kept_bytes_ += text.size();
  if (!CountHeld()) {
    return End(
        ErrorBody(Code::kResourceExhausted,
                  "transport: requests of " + std::to_string(kept_bytes_) +
                      " bytes wait, and too much of other requests is held already: send fewer at once",
                  era_));
  }
  socket_->PauseReading(true);
  Want();
}

bool JsonSocket::OnHeld(size_t bytes) {
  held_by_call_ = bytes;
  return CountHeld();
}

void JsonSocket::Want() {
  if (!std::exchange(wants_turn_, true)) turns_.Add(std::weak_ptr<JsonTurns::Body>(self_));
}

bool JsonSocket::Work(Slice& slice) {
  const std::shared_ptr<JsonSocket> self = self_;
  wants_turn_ = false;
  if (call_ == nullptr || kept_.empty()) return false;
  if (socket_->full() || call_->waits()) {
    waits_ = true;
    return false;
  }
  const std::string_view text = kept_.front();
  JsonValues values(text.substr(front_sent_));
  if (SendSome(values, slice)) {
    front_sent_ = text.size() - values.rest().size();
    return wants_turn_ = true;
  }
  if (call_ == nullptr) return false;
  kept_bytes_ -= text.size();
  kept_.pop_front();
  front_sent_ = 0;
  CountHeld();
  if (kept_.empty()) socket_->PauseReading(false);
  return wants_turn_ = !kept_.empty();
}

void JsonSocket::OnWritable() {
  if (std::exchange(waits_, false)) Want();
}

void JsonSocket::OnClosed() {
  const std::shared_ptr<JsonSocket> self = std::move(self_);
  self_ = nullptr;
  if (call_ != nullptr) call_->Abandon();
  call_.reset();
}

void JsonSocket::OnResponse(std::string_view message) {
  const std::shared_ptr<JsonSocket> self = self_;
  const std::string json = ResponseJson(route_, message);
  socket_->Send(route_.server_streaming ? "{\"result\":" + json + "}" : json);
}

void JsonSocket::OnEnd(Code code, std::string_view message) {
  if (code == Code::kOk) return End({});
  std::string text =
      route_.server_streaming ? StreamErrorLine(code, message, era_) : ErrorBody(code, message, era_);
  if (text.ends_with('\n')) text.pop_back();
  End(text);
}

void JsonSocket::End(std::string_view text) {
  const std::shared_ptr<JsonSocket> self = std::move(self_);
  self_ = nullptr;
  if (!text.empty()) socket_->Send(text);
  socket_->Close(kNormalClosure, {});
  if (call_ != nullptr) call_->Abandon();
  call_.reset();
}

}  // namespace quorate::gateway
