#include "net/descriptor.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net/loop_impl.h"

namespace quorate::net {

// Held by the pending waits, so that one completing after Close() finds somebody.
class DescriptorState : public ReadyTarget, public std::enable_shared_from_this<DescriptorState> {
 public:
  DescriptorState(LoopImpl* loop, int fd, Descriptor::Events* events)
      : loop_(loop), descriptor_(loop->io(), fd), events_(events) {}

  void WaitReadable() {
    if (reading_ || events_ == nullptr) return;
    reading_ = true;
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const boost::system::error_code& error) {
                             self->reading_ = false;
                             if (!error) self->Note(&self->readable_);
                           });
  }
  void WaitWritable() {
    if (writing_ || events_ == nullptr) return;
    writing_ = true;
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                           [self = shared_from_this()](const boost::system::error_code& error) {
                             self->writing_ = false;
                             if (!error) self->Note(&self->writable_);
                           });
  }
  void OnReady() override {
    noted_ = false;
    // The owner may close within either call.
    if (events_ != nullptr && std::exchange(writable_, false)) events_->OnWritable();
    if (events_ != nullptr && std::exchange(readable_, false)) events_->OnReadable();
  }
  void Close() {
    events_ = nullptr;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
  }
  int Release() {
    events_ = nullptr;
    return descriptor_.release();
  }
  void NoteReadable() { Note(&readable_); }
  int fd() { return descriptor_.native_handle(); }

 private:
  void Note(bool* what) {
    if (events_ == nullptr) return;
    *what = true;
    if (std::exchange(noted_, true)) return;
    loop_->NoteReady(shared_from_this());
  }

  LoopImpl* const loop_;
  boost::asio::posix::stream_descriptor descriptor_;
  Descriptor::Events* events_;
  bool reading_ = false;
  bool writing_ = false;
  bool readable_ = false;
  bool writable_ = false;
  bool noted_ = false;
};

Descriptor::Descriptor(LoopImpl* loop, int fd, Events* events)
    : state_(std::make_shared<DescriptorState>(loop, fd, events)) {}
Descriptor::~Descriptor() { Close(); }
void Descriptor::WaitReadable() { state_->WaitReadable(); }
void Descriptor::WaitWritable() { state_->WaitWritable(); }
void Descriptor::Close() { state_->Close(); }
int Descriptor::Release() { return state_->Release(); }
void Descriptor::NoteReadable() { state_->NoteReadable(); }
bool Descriptor::CloseWrite() { return shutdown(fd(), SHUT_WR) == 0; }
int Descriptor::fd() const { return state_->fd(); }

ssize_t Descriptor::Read(char* out, size_t size) {
  for (;;) {
    const ssize_t n = recv(fd(), out, size, 0);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? kWouldBlock : kBroken;
  }
}

ssize_t Descriptor::Write(const char* data, size_t size) {
  for (;;) {
    const ssize_t n = send(fd(), data, size, MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? kWouldBlock : kBroken;
  }
}

}  // namespace quorate::net
