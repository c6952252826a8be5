#include "peer/client_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace quorate::peer {
namespace {

constexpr size_t kReadBufferBytes = 64 * 1024;
// In one round, so that one member's flood does not hold up the others.
constexpr int kReadsPerRound = 16;
constexpr size_t kOutputBytesKept = 256 * 1024;

std::string ErrnoText(int error) { return std::strerror(error); }

}  // namespace

ClientSocket::ClientSocket(net::Loop* loop, Endpoint endpoint, std::shared_ptr<net::TlsContext> tls)
    : loop_(loop), endpoint_(std::move(endpoint)), tls_context_(std::move(tls)) {}

ClientSocket::~ClientSocket() { Close(); }

void ClientSocket::Close() {
  if (std::exchange(closed_, true)) return;
  loop_->Cancel(std::exchange(timer_, 0));
  handler_ = nullptr;
  if (tls_ != nullptr) tls_->SayGoodbye();
  if (descriptor_ != nullptr) descriptor_->Close();
}

void ClientSocket::Fail(const Status& status) {
  if (closed_) return;
  Handler* const handler = handler_;
  Close();
  if (handler != nullptr) handler->OnClosed(status);
}

void ClientSocket::Dial(Resolver* resolver, SessionMaker* sessions, int64_t timeout_nanos, Handler* handler) {
  handler_ = handler;
  sessions_ = sessions;
  dial_timeout_ = timeout_nanos;
  last_progress_ = loop_->now();
  const std::weak_ptr<ClientSocket> weak = weak_from_this();
  if (!endpoint_.unix_path.empty()) {
    SocketAddress address;
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    local->sun_family = AF_UNIX;
    const size_t n = std::min(endpoint_.unix_path.size(), sizeof(local->sun_path) - 1);
    std::memcpy(local->sun_path, endpoint_.unix_path.data(), n);
    address.size = sizeof(sockaddr_un);
    // Later, as after a lookup.
    loop_->Post([weak, address] {
      if (const auto self = weak.lock()) self->OnResolved(std::vector<SocketAddress>{address});
    });
    return;
  }
  timer_ = loop_->After(net::Loop::Nanos(timeout_nanos), [weak] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = 0;
    self->Fail(Unavailable("lookup " + self->endpoint_.host + ": i/o timeout"));
  });
  resolver->Resolve(
      endpoint_.host, endpoint_.port, [weak, loop = loop_](StatusOr<std::vector<SocketAddress>> found) {
        // Out of Dial, if the host was an address.
        auto addresses = std::make_shared<StatusOr<std::vector<SocketAddress>>>(std::move(found));
        loop->Post([weak, addresses] {
          if (const auto self = weak.lock()) self->OnResolved(std::move(*addresses));
        });
      });
}

void ClientSocket::OnResolved(StatusOr<std::vector<SocketAddress>> addresses) {
  if (closed_) return;
  loop_->Cancel(std::exchange(timer_, 0));
  if (!addresses.ok()) return Fail(Unavailable(Message(addresses.status())));
  addresses_ = *std::move(addresses);
  ConnectNext(Unavailable("no address"));
}

void ClientSocket::ConnectNext(const Status& last) {
  loop_->Cancel(std::exchange(timer_, 0));
  descriptor_.reset();
  Status status = last;
  while (next_address_ < addresses_.size()) {
    status = Connect(addresses_[next_address_++]);
    if (!status.ok()) continue;
    const int64_t share = dial_timeout_ / static_cast<int64_t>(addresses_.size());
    timer_ = loop_->After(net::Loop::Nanos(share), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->timer_ = 0;
      self->ConnectNext(Unavailable("dial tcp " + self->endpoint_.authority + ": i/o timeout"));
    });
    return;
  }
  Fail(status);
}

// Starts a connection; OnWritable has its result.
Status ClientSocket::Connect(const SocketAddress& address) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Unavailable("dial " + endpoint_.authority + ": socket: " + ErrnoText(errno));
  if (address.storage.ss_family != AF_UNIX) {
    const int on = 1;
    static_cast<void>(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
    static_cast<void>(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
  }
  const int rc = connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (rc != 0 && errno != EINPROGRESS && errno != EAGAIN) {
    const int error = errno;
    close(fd);
    return Unavailable("dial " + endpoint_.authority + ": connect: " + ErrnoText(error));
  }
  descriptor_ = std::make_unique<net::Descriptor>(loop_->impl(), fd, this);
  descriptor_->WaitWritable();
  return absl::OkStatus();
}

void ClientSocket::OnConnectResult() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(descriptor_->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    return ConnectNext(Unavailable("dial tcp " + endpoint_.authority + ": connect: " + ErrnoText(error)));
  }
  loop_->Cancel(std::exchange(timer_, 0));
  stream_ = descriptor_.get();
  last_progress_ = loop_->now();
  endpoint_.tls ? GetSession() : OnReady();
}

void ClientSocket::GetSession() {
  if (tls_context_ == nullptr)
    return Fail(FailedPrecondition(endpoint_.authority + ": no TLS is configured"));
  timer_ = loop_->After(net::Loop::Nanos(kHandshakeNanos), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->timer_ = 0;
    self->Fail(Unavailable(self->endpoint_.authority + ": net/http: TLS handshake timeout"));
  });
  sessions_->Make(tls_context_, weak_from_this(),
                  [weak = weak_from_this()](StatusOr<net::TlsSession> session) {
                    if (const auto self = weak.lock()) self->BeginHandshake(std::move(session));
                  });
}

void ClientSocket::BeginHandshake(StatusOr<net::TlsSession> session) {
  if (closed_) return;
  if (!session.ok()) {
    return Fail(MakeStatus(session.status().code(),
                           endpoint_.authority + ": " + std::string(Message(session.status()))));
  }
  const std::string& name = tls_context_->settings().server_name;
  tls_ = net::TlsStream::Client(*std::move(session), name.empty() ? endpoint_.host : name);
  tls_->set_below(descriptor_.get());
  stream_ = tls_.get();
  Shake();
}

void ClientSocket::Shake() {
  const net::TlsStream::Progress progress = tls_->Shake();
  if (progress == net::TlsStream::Progress::kFailed) {
    return Fail(Unavailable(endpoint_.authority + ": " + tls_->failure()));
  }
  if (!tls_->Flush()) return descriptor_->WaitWritable();
  if (progress == net::TlsStream::Progress::kAgain) return descriptor_->WaitReadable();
  loop_->Cancel(std::exchange(timer_, 0));
  OnReady();
}

void ClientSocket::OnReady() {
  connected_ = true;
  last_progress_ = loop_->now();
  WaitReadable();
  if (handler_ != nullptr) handler_->OnConnected();
}

// TLS may hold bytes that no further event will announce.
void ClientSocket::WaitReadable() {
  stream_->HasPending() ? descriptor_->NoteReadable() : descriptor_->WaitReadable();
}

void ClientSocket::OnWritable() {
  const auto self = shared_from_this();
  if (stream_ == nullptr) return OnConnectResult();
  if (!connected_) return Shake();
  blocked_ = false;
  WriteOut();
  if (!closed_ && out_.empty() && handler_ != nullptr) handler_->OnDrained();
}

void ClientSocket::Flush() {
  if (!connected_ || blocked_ || closed_) return;
  WriteOut();
}

void ClientSocket::WriteOut() {
  while (stream_->Flush() && !out_.empty()) {
    const ssize_t n = stream_->Write(out_.data(), out_.size());
    if (n == net::ByteStream::kWouldBlock || n == net::ByteStream::kBroken) {
      // A broken one shows when it is read, which is never within a call into here.
      blocked_ = true;
      if (n == net::ByteStream::kWouldBlock) descriptor_->WaitWritable();
      return;
    }
    out_.Consume(static_cast<size_t>(n));
    last_progress_ = loop_->now();
  }
  if (!stream_->Flush()) {
    blocked_ = true;
    descriptor_->WaitWritable();
    return;
  }
  out_.Recycle(kOutputBytesKept);
}

void ClientSocket::OnReadable() {
  const auto self = shared_from_this();
  if (!connected_) return Shake();
  // Decrypted bytes never fill the buffer.
  const size_t full = tls_ == nullptr ? kReadBufferBytes : kReadBufferBytes / 2;
  std::array<char, kReadBufferBytes> buffer;
  for (int i = 0; i < kReadsPerRound && !closed_; ++i) {
    const ssize_t n = stream_->Read(buffer.data(), buffer.size());
    if (n == net::ByteStream::kWouldBlock) break;
    if (n == net::ByteStream::kBroken)
      return Fail(Unavailable(endpoint_.authority + ": connection reset by peer"));
    if (n == 0) return Fail(absl::OkStatus());
    last_progress_ = loop_->now();
    // Kept for later use and spoken to: nobody asked.
    if (handler_ == nullptr) return Close();
    handler_->OnBytes({buffer.data(), static_cast<size_t>(n)});
    if (static_cast<size_t>(n) < full) break;
  }
  if (!closed_) WaitReadable();
}

}  // namespace quorate::peer
