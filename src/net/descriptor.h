// A non-blocking file descriptor on a loop, and the byte stream a connection reads and writes.
#pragma once

#include <sys/types.h>
#include <cstddef>
#include <memory>

#include "net/loop.h"

namespace quorate::net {

class DescriptorState;

// Where a connection's bytes come from and go to. TLS is another implementation of it.
class ByteStream {
 public:
  static constexpr ssize_t kWouldBlock = -1;
  static constexpr ssize_t kBroken = -2;

  virtual ~ByteStream() = default;
  // Bytes moved (> 0), 0 at the end of the input, kWouldBlock or kBroken.
  virtual ssize_t Read(char* out, size_t size) = 0;
  virtual ssize_t Write(const char* data, size_t size) = 0;
  // False while bytes that Write has taken wait for the socket: wait until it is writable, then try again.
  virtual bool Flush() { return true; }
  // Whether Read has something to tell although the socket may stay silent.
  virtual bool HasPending() const { return false; }
  // No more is written; the other sees an orderly end. False: it is broken.
  virtual bool CloseWrite() = 0;
};

// Owns the descriptor. Loop-thread only.
class Descriptor : public ByteStream {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    virtual void OnReadable() = 0;
    virtual void OnWritable() {}
  };

  // `events` must outlive this or its Close().
  Descriptor(LoopImpl* loop, int fd, Events* events);
  ~Descriptor() override;

  // Each asks for one event, in a later round, however much is ready already. Asking again while waiting
  // changes nothing.
  void WaitReadable();
  void WaitWritable();
  ssize_t Read(char* out, size_t size) override;
  ssize_t Write(const char* data, size_t size) override;
  bool CloseWrite() override;
  // As if it had become readable: OnReadable() comes in the next round.
  void NoteReadable();
  // No more events come.
  void Close();
  // As Close(), but the descriptor stays open and is the caller's now.
  int Release();
  int fd() const;

 private:
  std::shared_ptr<DescriptorState> state_;
};

}  // namespace quorate::net
