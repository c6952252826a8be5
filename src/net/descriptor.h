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
  // No more events come.
  void Close();
  int fd() const;

 private:
  std::shared_ptr<DescriptorState> state_;
};

}  // namespace quorate::net
