// One accepted socket: reading, writing once a round, closing. What the bytes mean is its Protocol's
// business.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/byte_queue.h"
#include "net/descriptor.h"
#include "net/timer_heap.h"
#include "net/tls_stream.h"

namespace quorate::net {

class Connection;
class ServerImpl;

// HTTP/1.1 or HTTP/2 on a connection. Calls into a service happen in OnBytes, AfterFlush and OnLost only.
class Protocol {
 public:
  virtual ~Protocol() = default;
  // Takes it from the front, all of it unless the turn is over (Connection::TurnIsOver): what is left then
  // comes again, at the front of the next call. Empty when the protocol has asked for a turn. False: the
  // input is at fault; nothing more is read, and after the output that is left (an error answer, GOAWAY) the
  // connection closes.
  virtual bool OnBytes(std::string_view* bytes) = 0;
  // The client sends no more. False: close after the output that is left.
  virtual bool OnEndOfInput() = 0;
  // Appends output until `out` holds about `limit` bytes; true if there may be more.
  virtual bool FillOutput(ByteQueue* out, size_t limit) = 0;
  // Output was handed to the socket, or the socket is blocked.
  virtual void AfterFlush() = 0;
  // Whether input may come: false while the client must first take its answers.
  virtual bool WantsInput() const = 0;
  // Nothing is left to do: close when the output is written.
  virtual bool Finished() const = 0;
  // No call is under way, and nothing waits to be read by the client.
  virtual bool Idle() const = 0;
  // The connection is gone; ends everything that runs on it. Once, as the last call.
  virtual void OnLost() = 0;
  // Let running calls end, take no new ones.
  virtual void Drain() = 0;
  // The connection is idle and closes now: says so, if it can be said.
  virtual void GoAway() = 0;
};

// States: detecting (no protocol) -> serving -> lingering (output written, waiting for the client's close) ->
// closed. Invariants: (1) in the server's dirty list exactly when dirty_; (2) closed_ means buried, and no
// call leaves it then; (3) blocked_ means that a wait for writability is on; (4) nothing is read while held_
// has something, which is at most what one read brings.
class Connection : public Descriptor::Events {
 public:
  // With `tls`, its handshake done, the bytes go through it.
  Connection(ServerImpl* server, int fd, std::string peer, std::unique_ptr<TlsStream> tls);
  ~Connection() override;

  void OnReadable() override;
  void OnWritable() override;

  // Output waits: it is written at the end of the round.
  void MarkDirty();
  // From the server, at the end of the round.
  void Flush();
  // Ends it at once. Harmless if closed.
  void Close();
  void Drain();
  // Whether this connection has had its share of the round. Its protocol asks before each piece of work but
  // the first of a turn, and does no further one then.
  bool TurnIsOver();
  // The protocol has input that it has taken already, and goes on with it in the next round.
  void AskTurn();
  // Ends it at once if it is idle, for another; but first its client is told, in one write that nobody waits
  // for, so that he knows of a request that crosses it that it was not done. From outside of its protocol.
  void MakeWay();

  const std::string& peer() const { return peer_; }
  bool secure() const { return tls_ != nullptr; }
  // As CallHandle::tls_common_name().
  const std::optional<std::string>& tls_common_name() const { return tls_common_name_; }
  ServerImpl* server() const { return server_; }
  // Taken from the protocol, and not yet by the socket; as of the last write. Counted in the server's sum.
  size_t output_bytes() const { return output_bytes_; }
  bool blocked() const { return blocked_; }
  bool closed() const { return closed_; }
  // When bytes last came, on the loop's clock.
  int64_t last_read() const { return last_read_; }
  // Has no call under way and no answer that waits: it can be ended if room is needed.
  bool idle() const {
    return lingering_ || protocol_ == nullptr ||
           (protocol_->Idle() && output_bytes_ == 0 && held_.empty() && !turn_asked_);
  }

 private:
  // False: nothing is to be read in this turn.
  bool TakeHeld();
  void ReadOn();
  void OnInput(std::string_view bytes);
  void Detect(std::string_view bytes);
  void Feed(std::string_view bytes);
  // What the protocol has left of `bytes` when its turn ended.
  std::string_view Offer(std::string_view bytes);
  void CountHeld();
  void OnEndOfInput();
  void WriteOut();
  void CountOutput();
  void Block();
  void UpdateReading();
  void Linger();
  void OnTimer();

  ServerImpl* const server_;
  const std::string peer_;
  Descriptor descriptor_;
  const std::unique_ptr<TlsStream> tls_;
  const std::optional<std::string> tls_common_name_;
  ByteStream* const stream_;
  std::unique_ptr<Protocol> protocol_;
  std::string first_bytes_;  // While detecting.
  InputQueue held_;          // Read, and left when the turn ended; else empty.
  size_t held_bytes_ = 0;    // Of it in the server's sum.
  ByteQueue output_;         // What the socket did not take; else empty.
  size_t output_bytes_ = 0;  // Of it, and sealed by TLS.
  size_t read_bytes_;        // How much the next read takes at most.
  Timer timer_;              // Detection and lingering.
  int64_t last_read_ = 0;
  int64_t turn_began_ = 0;
  bool turn_over_ = false;
  bool turn_asked_ = false;
  bool dirty_ = false;
  bool blocked_ = false;
  bool input_over_ = false;  // Nothing more is taken from the client.
  bool lingering_ = false;
  bool closed_ = false;
};

}  // namespace quorate::net
