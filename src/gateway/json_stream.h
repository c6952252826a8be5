// One call of the JSON gateway whose method takes many requests: they come one after another in the body, and
// each goes to the call when it is whole, answered or not what came before, while the body is open for
// more. They are worked in slices (json_turns.h), and no faster than their client takes the answers. A client
// that sends more meanwhile is not read. Loop-thread only.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/json_exchange.h"
#include "gateway/json_pieces.h"
#include "gateway/json_turns.h"
#include "net/byte_queue.h"
#include "net/http.h"

namespace quorate::gateway {

// Invariant: the first whole_ bytes of text_ are values that are whole, or what can become none; whole_
// counts as held for the client, and so does what is behind it.
class JsonStream : public JsonExchange, public JsonTurns::Body, public net::HttpBodySink {
 public:
  // `request` is the one that begins; its body comes by OnBytes.
  JsonStream(const Route& route, Era era, net::HttpHeaders headers, Executor* executor, JsonTurns* turns,
             net::Server* server, const net::HttpRequest& request);

  // From the connection.
  void OnBegin(net::HttpReply reply) override;
  void OnBytes(std::string_view bytes) override;
  void OnEnd() override;
  Part part() const override;
  bool open_ended() const override { return true; }
  // From the turns.
  bool Work(Slice& slice) override;

  using JsonExchange::OnEnd;

 private:
  void OnRoom() override;
  void Want();
  // Sends what fits into the slice.
  void SendSome(Slice& slice);
  // The client says no more, or nothing that can be read.
  void HalfClose();
  // How much of text_ is whole by now; the client may have to wait.
  void SetWhole(size_t bytes);
  bool over() const { return call_ == nullptr || said_all_; }

  std::unique_ptr<const net::HttpRequest> request_;  // Until the call is open.
  net::Server& server_;
  JsonTurns& turns_;
  JsonPieces pieces_;
  net::InputQueue text_;
  size_t whole_ = 0;
  size_t checked_ = 0;     // So much of what is not whole has been looked at for errors.
  uint64_t number_ = 1;    // Of the value that is not whole.
  bool ended_ = false;     // The body is whole.
  bool any_sent_ = false;  // To the call.
  bool said_all_ = false;
  bool wants_turn_ = false;  // Waits for one.
  bool waits_ = false;       // For the client to take answers, or for the service.
  bool paused_ = false;
};

}  // namespace quorate::gateway
