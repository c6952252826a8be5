#include "net/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "net/connection.h"
#include "net/grpc_framing.h"
#include "net/local_call.h"
#include "net/loop_impl.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

constexpr int kBacklog = 4096;
// Accepted in one round, so that a flood of connections does not hold up the others.
constexpr int kAcceptsPerRound = 256;
// A client whose machine is gone without a word is found out after the kernel's nine probes of this distance;
// the original's 30 s.
constexpr int kTcpKeepAliveSeconds = 30;
// Of the process's open files, these are for the log, the database and whatever else it opens itself (the
// original's reserve); the rest is for the servers of a process: clients, HTTP, metrics, peers. A flood on
// one port leaves the others theirs. Sockets whose TLS handshake is under way come on top, a part of the
// share.
constexpr rlim_t kFilesReserved = 150;
constexpr rlim_t kServers = 5;
// Four servers have a door each, which holds up to twice what it lets wait: the fifth share.
constexpr size_t kHandshakesShare = 8;
constexpr rlim_t kConnectionsMin = 16;
// 50,000 idle connections hold about 700 MB.
constexpr rlim_t kConnectionsMax = 50'000;
// Of local calls, handed over in one round: each is made into another form, which takes as long as a request.
constexpr size_t kResponsesPerRound = 1024;
constexpr size_t kResponseBytesPerRound = 1024 * 1024;
// Of a path that is named in an error.
constexpr size_t kUnknownPathBytesMax = 1024;
// Between two warnings that a server is full.
constexpr int64_t kTellFullNanos = int64_t{60} * 1'000'000'000;
// Idle connections that one look finds; and the pause after one that found none.
constexpr size_t kIdleFoundMax = 128;
constexpr int64_t kIdleLookNanos = 100'000'000;
// Out of descriptors: the pause before the next try.
constexpr std::chrono::milliseconds kAcceptPause(100);

std::string PeerText(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof(text));
      return std::string(text) + ":" + std::to_string(ntohs(v6->sin6_port));
    }
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  return "unix:";
}

std::string ErrnoText() { return std::generic_category().message(errno); }

// What is left of the process's open files when it has its own, for one of its servers.
size_t ConnectionsMax() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= kFilesReserved) return kConnectionsMin;
  return std::clamp((limit.rlim_cur - kFilesReserved) / kServers, kConnectionsMin, kConnectionsMax);
}

// Limits that the largest message fits into, and that the system can keep.
ServerOptions Bounded(ServerOptions options) {
  if (options.connections_max == 0) options.connections_max = ConnectionsMax();
  constexpr size_t kMessages = 4;
  const size_t room = kMessages * (options.message_bytes_max + kMessageHeaderBytes);
  options.request_bytes_max = std::max(options.request_bytes_max, room);
  options.request_bytes_in_all_max = std::max(options.request_bytes_in_all_max, room);
  return options;
}

void SetOption(int fd, int level, int name, int value) {
  // Options that make things better, not right: an old kernel may lack one.
  static_cast<void>(setsockopt(fd, level, name, &value, sizeof(value)));
}

void SetSocketOptions(int fd, std::string_view peer) {
  if (peer.starts_with("unix:")) return;
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, kTcpKeepAliveSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, kTcpKeepAliveSeconds);
}

}  // namespace

Listener::Listener(ServerImpl* server, int fd, std::string unix_path, std::shared_ptr<const TlsListening> tls)
    : server_(server),
      descriptor_(server->loop_impl(), fd, this),
      unix_path_(std::move(unix_path)),
      tls_(std::move(tls)) {
  descriptor_.WaitReadable();
}

Listener::~Listener() {
  server_->loop()->Cancel(pause_);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void Listener::OnReadable() {
  for (int i = 0; i < kAcceptsPerRound; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd =
        accept4(descriptor_.fd(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      server_->Deal(fd, unix_path_.empty() ? PeerText(address) : "unix:" + unix_path_, tls_);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      LOG_ERROR("cannot accept a connection; raise the limit of open files (ulimit -n)",
                {"error", ErrnoText()});
      pause_ = server_->loop()->After(kAcceptPause, [this] { descriptor_.WaitReadable(); });
      return;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
  }
  descriptor_.WaitReadable();
}

ServerImpl::ServerImpl(Loop* loop, const ServerOptions& options)
    : loop_(loop),
      loop_impl_(loop->impl()),
      options_(Bounded(options)),
      read_buffer_(new char[kReadBufferBytes]),
      pool_(std::make_shared<StreamPool>()) {
  loop_impl_->Keep(pool_);
  hook_ = loop_->AddEndOfRound(Loop::Stage::kNet, [this] { EndOfRound(); });
}

ServerImpl::~ServerImpl() {
  listeners_.clear();
  door_.reset();
  loop_->Cancel(drain_timer_);
  CloseAll();
  buried_.clear();
  buried_handlers_.clear();
  loop_->RemoveEndOfRound(hook_);
}

void ServerImpl::CloseAll() {
  while (!connections_.empty()) connections_.begin()->first->Close();
}

StatusOr<int> ServerImpl::OpenListener(const std::string& host, uint16_t port, const ListenOptions& options) {
  const std::string what = "listen tcp " + host + ":" + std::to_string(port) + ": ";
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string node = host.empty() ? "::" : host;
  int rc = getaddrinfo(node.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (rc != 0) return InvalidArgument(what + gai_strerror(rc));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::string error = "no address";
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = ErrnoText();
      continue;
    }
    if (options.reuse_address) SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (a->ai_family == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, host.empty() ? 0 : 1);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
    error = ErrnoText();
    close(fd);
  }
  return Unavailable(what + "bind: " + error + "; choose another address or end the process that has it");
}

StatusOr<uint16_t> ServerImpl::Listen(const std::string& host, uint16_t port, const ListenOptions& options) {
  StatusOr<int> fd = OpenListener(host, port, options);
  // A host without IPv6 has no "::".
  if (!fd.ok() && host.empty()) fd = OpenListener("0.0.0.0", port, options);
  if (!fd.ok()) return fd.status();
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  QUORATE_CHECK(getsockname(*fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const uint16_t bound = address.ss_family == AF_INET6
                             ? ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port)
                             : ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  listeners_.push_back(std::make_unique<Listener>(this, *fd, "", options.tls));
  return bound;
}

Status ServerImpl::ListenUnix(const std::string& path, const ListenOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument("listen unix " + path + ": the path must have 1 to " +
                           std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path.c_str());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Unavailable("listen unix " + path + ": " + ErrnoText());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, kBacklog) != 0) {
    const std::string error = ErrnoText();
    close(fd);
    return Unavailable("listen unix " + path + ": " + error);
  }
  listeners_.push_back(std::make_unique<Listener>(this, fd, path, options.tls));
  return absl::OkStatus();
}

void ServerImpl::Deal(int fd, std::string peer, const std::shared_ptr<const TlsListening>& tls) {
  ServerImpl* target = dealt_to.empty() ? this : dealt_to[next_deal_++ % dealt_to.size()];
  SetSocketOptions(fd, peer);
  if (tls != nullptr) return AwaitHandshake(fd, std::move(peer), tls, target);
  if (target == this) return Adopt(fd, std::move(peer), nullptr);
  target->loop()->Post([target, fd, peer = std::move(peer)] { target->Adopt(fd, peer, nullptr); });
}

void ServerImpl::AwaitHandshake(int fd, std::string peer, const std::shared_ptr<const TlsListening>& tls,
                                ServerImpl* target) {
  if (door_ == nullptr) door_ = std::make_unique<TlsDoor>(options_.connections_max / kHandshakesShare);
  door_->Enter(std::make_shared<TlsGuest>(fd, std::move(peer)), tls,
               [target, loop = target->loop(),
                alive = std::weak_ptr<char>(target->alive_)](std::shared_ptr<TlsGuest> guest) {
                 loop->Post([target, alive, guest = std::move(guest)] {
                   if (alive.expired()) return;
                   target->Adopt(guest->Take(), guest->peer(), std::move(guest->stream));
                 });
               });
}

void ServerImpl::Adopt(int fd, std::string peer, std::unique_ptr<TlsStream> tls) {
  ++stats.connections_accepted;
  bool full = !draining_ && connections_.size() >= options_.connections_max;
  if (full) {
    const bool room = MakeRoom();
    TellFull(room);
    full = !room;
  }
  if (draining_ || full) {
    close(fd);
    return;
  }
  auto connection = std::make_unique<Connection>(this, fd, std::move(peer), std::move(tls));
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
  ++stats.connections_open;
}

// Those that were found idle and have not stirred since are still the longest: whoever is idle by now has
// stirred later.
bool ServerImpl::MakeRoom() {
  if (idle_.empty() && loop_impl_->now() >= next_idle_look_at_) FindIdle();
  while (!idle_.empty()) {
    const Idle oldest = idle_.back();
    idle_.pop_back();
    if (oldest.connection->last_read() == oldest.last_read && oldest.connection->idle()) {
      oldest.connection->MakeWay();
      return true;
    }
    if (idle_.empty() && loop_impl_->now() >= next_idle_look_at_) FindIdle();
  }
  return false;
}

// Looking at all is for the next few, too; and where none is idle, not for everyone who comes.
void ServerImpl::FindIdle() {
  for (const auto& entry : connections_) {
    if (entry.first->idle()) idle_.push_back({entry.first->last_read(), entry.first});
  }
  const size_t kept = std::min(idle_.size(), kIdleFoundMax);
  const auto older = [](const Idle& a, const Idle& b) { return a.last_read < b.last_read; };
  std::partial_sort(idle_.begin(), idle_.begin() + static_cast<ptrdiff_t>(kept), idle_.end(), older);
  idle_.resize(kept);
  std::reverse(idle_.begin(), idle_.end());
  if (idle_.empty()) next_idle_look_at_ = loop_impl_->now() + kIdleLookNanos;
}

void ServerImpl::TellFull(bool room) {
  if (told_full_at_ != 0 && loop_impl_->now() - told_full_at_ < kTellFullNanos) return;
  told_full_at_ = loop_impl_->now();
  const std::string what =
      room ? "closes the connections that have been idle longest, for new ones" : "closes new connections";
  LOG_WARN(
      what + ": there are as many as are allowed; raise the limit of open files, or find out who holds them",
      {"connections", static_cast<int64_t>(connections_.size())});
}

void ServerImpl::Bury(Connection* connection) {
  auto it = connections_.find(connection);
  QUORATE_CHECK(it != connections_.end());
  std::erase_if(idle_, [connection](const Idle& idle) { return idle.connection == connection; });
  waiting_for_others_.erase(connection);
  buried_.push_back(std::move(it->second));
  connections_.erase(it);
  --stats.connections_open;
}

// A receiver may answer by a connection of this server: so this comes before the connections are written.
void ServerImpl::DeliverOwed() {
  if (owed_.empty()) return;
  std::vector<std::weak_ptr<LocalCall>> owed = std::exchange(owed_, {});
  LocalCall::Round left{.responses = kResponsesPerRound, .bytes = kResponseBytesPerRound};
  size_t done = 0;
  for (; done < owed.size() && !left.over(); ++done) {
    if (const std::shared_ptr<LocalCall> call = owed[done].lock(); call != nullptr) call->Deliver(&left);
  }
  if (done == owed.size()) return;
  // Who has had nothing is first in the next round.
  owed.erase(owed.begin(), owed.begin() + static_cast<ptrdiff_t>(done));
  owed.insert(owed.end(), std::make_move_iterator(owed_.begin()), std::make_move_iterator(owed_.end()));
  owed_ = std::move(owed);
}

void ServerImpl::EndOfRound() {
  DeliverOwed();
  if (!waiting_for_others_.empty() && stats.output_bytes_held <= options_.output_bytes_in_all_max) {
    for (Connection* connection : std::exchange(waiting_for_others_, {})) connection->MarkDirty();
  }
  dirty_now_.swap(dirty_);
  for (Connection* connection : dirty_now_) connection->Flush();
  dirty_now_.clear();
  // Marked while flushing: there is more to write or to answer, in a round that does not wait.
  if (!dirty_.empty()) loop_impl_->SkipNextWait();
  // Likewise when what a local call waits for has left by now.
  for (const std::weak_ptr<LocalCall>& weak : owed_) {
    const std::shared_ptr<LocalCall> call = weak.lock();
    if (call != nullptr && call->due()) loop_impl_->SkipNextWait();
  }
  // Destructors of services may bury more.
  while (!buried_handlers_.empty()) {
    std::vector<std::unique_ptr<StreamHandler>> handlers;
    handlers.swap(buried_handlers_);
  }
  if (!buried_.empty()) {
    const std::vector<std::unique_ptr<Connection>> buried = std::move(buried_);
    buried_.clear();
    std::erase_if(dirty_, [](const Connection* c) { return c->closed(); });
  }
  if (draining_ && connections_.empty()) FinishDrain();
}

void ServerImpl::Drain(int64_t grace, std::function<void()> done) {
  draining_ = true;
  drained_ = std::move(done);
  StopListening();
  std::vector<Connection*> open;
  for (const auto& entry : connections_) open.push_back(entry.first);
  for (Connection* connection : open) connection->Drain();
  drain_timer_ = loop_->After(std::chrono::nanoseconds(grace), [this] {
    drain_timer_ = 0;
    CloseAll();
  });
  loop_impl_->SkipNextWait();
}

void ServerImpl::FinishDrain() {
  loop_->Cancel(std::exchange(drain_timer_, 0));
  const std::function<void()> done = std::exchange(drained_, nullptr);
  if (done) done();
}

const Method* ServerImpl::FindMethod(std::string_view path) const {
  const auto it = methods.find(path);
  return it == methods.end() ? nullptr : it->second.get();
}

std::string ServerImpl::UnknownMethodText(std::string_view path) const {
  // Each waits with its call, until its client takes it: a path may be long.
  std::string_view name = path.substr(0, kUnknownPathBytesMax);
  if (name.starts_with('/')) name.remove_prefix(1);
  const size_t slash = name.rfind('/');
  if (slash == std::string_view::npos)
    return "malformed method name: " + GoQuote(path.substr(0, kUnknownPathBytesMax));
  const std::string service(name.substr(0, slash));
  if (!services.contains(service)) return "unknown service " + service;
  return "unknown method " + std::string(name.substr(slash + 1)) + " for service " + service;
}

Server::Server(Loop* loop, const ServerOptions& options)
    : impl_(std::make_unique<ServerImpl>(loop, options)) {}
Server::~Server() = default;

void Server::RegisterUnary(std::string_view path, UnaryHandler handler, uint32_t method_index) {
  QUORATE_CHECK(handler != nullptr);
  impl_->AddMethod(path, {std::move(handler), nullptr, method_index});
}
void Server::RegisterStreaming(std::string_view path, StreamFactory factory, uint32_t method_index) {
  QUORATE_CHECK(factory != nullptr);
  impl_->AddMethod(path, {nullptr, std::move(factory), method_index});
}

void ServerImpl::AddMethod(std::string_view path, Method method) {
  const size_t slash = path.rfind('/');
  QUORATE_CHECK_MSG(path.starts_with('/') && slash > 0, "a method's path is /package.Service/Method");
  QUORATE_CHECK_MSG(!methods.contains(path), "a method is registered twice");
  services.insert(std::string(path.substr(1, slash - 1)));
  methods.emplace(std::string(path), std::make_unique<Method>(std::move(method)));
}

void Server::SetHttpHandler(HttpHandler handler) { impl_->http_handler = std::move(handler); }
void Server::SetHttpBodyHandler(HttpBodyHandler handler) { impl_->http_body_handler = std::move(handler); }
StatusOr<uint16_t> Server::Listen(const std::string& host, uint16_t port, const ListenOptions& options) {
  return impl_->Listen(host, port, options);
}
Status Server::ListenUnix(const std::string& path, const ListenOptions& options) {
  return impl_->ListenUnix(path, options);
}
void Server::StopListening() { impl_->StopListening(); }
void Server::DealTo(const std::vector<Server*>& servers) {
  impl_->dealt_to.clear();
  for (Server* server : servers) impl_->dealt_to.push_back(server->impl_.get());
}
void Server::Drain(std::chrono::nanoseconds grace, std::function<void()> done) {
  impl_->Drain(grace.count(), std::move(done));
}
const ServerStats& Server::stats() const { return impl_->stats; }
const ServerOptions& Server::options() const { return impl_->options(); }
Loop* Server::loop() const { return impl_->loop(); }

}  // namespace quorate::net
