// The inside of Server, shared by its connections.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/hash.h"
#include "net/block_pool.h"
#include "net/byte_queue.h"
#include "net/descriptor.h"
#include "net/h2_stream.h"
#include "net/server.h"
#include "net/tls_door.h"

namespace quorate::net {

class Connection;
class LocalCall;
class LoopImpl;

struct Method {
  UnaryHandler unary;  // One of the two is set.
  StreamFactory streaming;
  uint32_t index = 0;
};

// A listening socket and whatever must be cleaned up after it.
class Listener : public Descriptor::Events {
 public:
  Listener(class ServerImpl* server, int fd, std::string unix_path, std::shared_ptr<const TlsListening> tls);
  ~Listener() override;
  void OnReadable() override;

 private:
  ServerImpl* const server_;
  Descriptor descriptor_;
  const std::string unix_path_;
  const std::shared_ptr<const TlsListening> tls_;
  Loop::TimerId pause_ = 0;
};

// Owner thread: the loop's. Connections are destroyed only at the end of a round (`buried_`), so that no code
// of theirs is on the stack then.
class ServerImpl {
 public:
  ServerImpl(Loop* loop, const ServerOptions& options);
  ~ServerImpl();

  StatusOr<uint16_t> Listen(const std::string& host, uint16_t port, const ListenOptions& options);
  Status ListenUnix(const std::string& path, const ListenOptions& options);
  void StopListening() { listeners_.clear(); }
  void Drain(int64_t grace, std::function<void()> done);

  // From a listener: passes the socket to the server whose turn it is, after the handshake if `tls` is set.
  void Deal(int fd, std::string peer, const std::shared_ptr<const TlsListening>& tls);
  // Takes the socket over; the server's own loop thread.
  void Adopt(int fd, std::string peer, std::unique_ptr<TlsStream> tls);
  // From a connection, once: it has closed. Destroyed at the end of the round.
  void Bury(Connection* connection);
  // The handler is destroyed at the end of the round.
  void Bury(std::unique_ptr<StreamHandler> handler) { buried_handlers_.push_back(std::move(handler)); }
  // Something is owed to the call's receiver or handler: see to it at the end of the round.
  void AddOwed(const std::shared_ptr<LocalCall>& call) { owed_.push_back(call); }
  // The connection has output to write at the end of the round; once per round, see Connection::MarkDirty.
  void AddDirty(Connection* connection) { dirty_.push_back(connection); }

  void AddMethod(std::string_view path, Method method);
  const Method* FindMethod(std::string_view path) const;
  // The text for a path that FindMethod doesn't know, as grpc-go says it.
  std::string UnknownMethodText(std::string_view path) const;

  Loop* loop() const { return loop_; }
  LoopImpl* loop_impl() const { return loop_impl_; }
  const ServerOptions& options() const { return options_; }
  bool draining() const { return draining_; }
  // Whether more than `max` of something is held in all, and who holds `own` of it has more than his share.
  bool OverShare(uint64_t own, uint64_t all, size_t max) const {
    return all > max && own > max / std::max<size_t>(connections_.size(), 1);
  }

  // The same of answers: whether `bytes` of them, with those to come, are too much for one client.
  bool TooMuchOutput(uint64_t bytes) const {
    return OverShare(bytes, stats.output_bytes_held, options_.output_bytes_in_all_max);
  }
  // Its AfterFlush is called at the end of a round in which all hold no more than they may.
  void WakeWhenLessIsHeld(Connection* connection) { waiting_for_others_.insert(connection); }

  // Shared by all connections, for the length of one read or one message.
  char* read_buffer() { return read_buffer_.get(); }
  std::string& scratch() { return scratch_; }
  // Empty between the connections' turns to write.
  ByteQueue& write_buffer() { return write_buffer_; }
  StreamPool& pool() { return *pool_; }
  BlockPool& blocks() { return blocks_; }

  StringMap<std::unique_ptr<Method>> methods;
  StringSet services;
  HttpHandler http_handler;
  HttpBodyHandler http_body_handler;
  ServerStats stats;
  std::vector<ServerImpl*> dealt_to;

  static constexpr size_t kReadBufferBytes = 64 * 1024;

 private:
  void EndOfRound();
  void DeliverOwed();
  // Ends the connection that has been idle longest. False: none is idle.
  bool MakeRoom();
  void FindIdle();
  void TellFull(bool room);
  void CloseAll();
  void FinishDrain();
  void AwaitHandshake(int fd, std::string peer, const std::shared_ptr<const TlsListening>& tls,
                      ServerImpl* target);
  StatusOr<int> OpenListener(const std::string& host, uint16_t port, const ListenOptions& options);

  Loop* const loop_;
  LoopImpl* const loop_impl_;
  const ServerOptions options_;
  Loop::HookId hook_ = 0;
  Loop::TimerId drain_timer_ = 0;
  int64_t told_full_at_ = 0;  // Time of the last warning; 0: none yet.
  struct Idle {
    int64_t last_read;
    Connection* connection;
  };
  std::vector<Idle> idle_;  // As last found: the longest at the end.
  int64_t next_idle_look_at_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
  size_t next_deal_ = 0;
  std::unique_ptr<char[]> read_buffer_;
  std::string scratch_;
  ByteQueue write_buffer_;
  std::shared_ptr<StreamPool> pool_;
  BlockPool blocks_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<TlsDoor> door_;  // With the first TLS connection.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::weak_ptr<LocalCall>> owed_;  // Local calls.
  std::vector<Connection*> dirty_;
  std::vector<Connection*> dirty_now_;
  std::unordered_set<Connection*> waiting_for_others_;
  std::vector<std::unique_ptr<Connection>> buried_;
  std::vector<std::unique_ptr<StreamHandler>> buried_handlers_;
};

}  // namespace quorate::net
