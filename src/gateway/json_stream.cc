#include "gateway/json_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "gateway/json_syntax.h"
#include "net/server.h"

namespace quorate::gateway {
namespace {

using net::Code;

// What waits to be sent to the call beyond this makes the client wait.
constexpr size_t kWaitingBytesMax = 64 * 1024;
// Of the text, while it is empty.
constexpr size_t kKeepBytes = 4096;

}  // namespace

JsonStream::JsonStream(const Route& route, Era era, net::HttpHeaders headers, Executor* executor,
                       JsonTurns* turns, net::Server* server, const net::HttpRequest& request)
    : JsonExchange(route, era, std::move(headers), executor),
      request_(std::make_unique<net::HttpRequest>(request)),
      server_(*server),
      turns_(*turns) {}

void JsonStream::OnBegin(net::HttpReply reply) {
  Open(&server_, *request_, std::move(reply));
  request_ = nullptr;
}

void JsonStream::OnBytes(std::string_view bytes) {
  if (over()) return;
  const std::shared_ptr<JsonExchange> self = shared_from_this();
  const size_t before = text_.size();
  text_.Append(bytes);
  size_t whole = whole_;
  if (const size_t ended = pieces_.Take(bytes); ended > 0) {
    whole = before + ended;
    ++number_;
    checked_ = 0;
  }
  if (!pieces_.inside()) whole = text_.size();  // White space.
  const std::string_view rest = text_.view().substr(whole);
  // Who waits for an answer before he closes the body is to hear of his mistake. Looked at again when there
  // is twice as much, so that it stays linear.
  if (rest.size() > 2 * checked_) {
    checked_ = rest.size();
    if (!MayBecomeValue(rest)) whole = text_.size();
  }
  const size_t max = server_.options().http_body_bytes_max;
  if (text_.size() - whole > max) {
    return Refuse(Code::kResourceExhausted,
                  "transport: a request of more than " + std::to_string(max) + " bytes of JSON");
  }
  SetWhole(whole);
  if (whole_ > 0) Want();
}

void JsonStream::OnEnd() {
  if (over()) return;
  ended_ = true;
  SetWhole(text_.size());
  Want();
}

// The first is to come in time.
net::HttpBodySink::Part JsonStream::part() const {
  if (ended_ || over()) return {};
  const size_t bytes = text_.size() - whole_;
  return {number_ == 1 ? std::max<size_t>(bytes, 1) : bytes, number_};
}

void JsonStream::SetWhole(size_t bytes) {
  whole_ = bytes;
  if (!Hold(whole_)) {
    return Refuse(Code::kResourceExhausted,
                  "transport: requests of " + std::to_string(whole_) +
                      " bytes in one body wait, and too much of other requests is held already: send fewer "
                      "at once");
  }
  const bool pause = whole_ > kWaitingBytesMax;
  if (std::exchange(paused_, pause) != pause) reply_.PauseBody(pause);
}

void JsonStream::Want() {
  if (over() || std::exchange(wants_turn_, true)) return;
  turns_.Add(std::static_pointer_cast<JsonStream>(shared_from_this()));
}

void JsonStream::OnRoom() {
  if (std::exchange(waits_, false)) Want();
}

bool JsonStream::Work(Slice& slice) {
  wants_turn_ = false;
  if (over()) return false;
  if (reply_.full() || call_->waits()) {
    waits_ = true;
    return false;
  }
  SendSome(slice);
  wants_turn_ = !over() && whole_ > 0;
  return wants_turn_;
}

// An error in the first one is the answer (without a code, as the original has it); one in a later one ends
// what the client says, and it gets what it has asked for before.
void JsonStream::SendSome(Slice& slice) {
  JsonValues values(text_.view().substr(0, whole_));
  while (!values.AtEnd() && !slice.over() && !call_->waits()) {
    const size_t before = values.rest().size();
    const auto value = values.Next();
    Secret bytes;
    const Status status = value.ok() ? ReadRequest(route_, *value, &bytes) : value.status();
    if (!status.ok() && !any_sent_) return Refuse(Code::kUnknown, Message(status));
    if (!status.ok()) return HalfClose();
    any_sent_ = true;
    call_->Send(bytes.view());
    slice.Spend(before - values.rest().size());
  }
  const size_t left = values.rest().size();
  text_.Consume(whole_ - left);
  if (text_.empty()) text_.Recycle(kKeepBytes);
  SetWhole(left);
  if (ended_ && whole_ == 0 && !over()) HalfClose();
}

void JsonStream::HalfClose() {
  said_all_ = true;
  call_->HalfClose();
  text_.Recycle(0);
  SetWhole(0);
}

}  // namespace quorate::gateway
