#include "h2_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace quorate::bench {
namespace {

constexpr int32_t kWindowBytes = 1 << 30;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "quorate_load: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// The bytes must outlive the call's frames: literals, and paths that the program keeps.
nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

void AppendFramed(std::string_view message, std::string* out) {
  const auto size = static_cast<uint32_t>(message.size());
  const char head[5] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                        static_cast<char>(size >> 8), static_cast<char>(size)};
  out->append(head, sizeof head);
  out->append(message);
}

int Dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// A blocking handshake: it is not what is measured.
SSL* Handshake(SSL_CTX* context, int fd) {
  SSL* tls = SSL_new(context);
  SSL_set_fd(tls, fd);
  SSL_set_tlsext_host_name(tls, "localhost");
  if (SSL_connect(tls) != 1) {
    ERR_print_errors_fp(stderr);
    errno = EPROTO;
    Die("TLS handshake");
  }
  return tls;
}

}  // namespace

Connection::Connection(uint16_t port, const Access* access, Handler* handler)
    : fd_(Dial(port)), access_(access), handler_(handler) {
  if (access_->tls != nullptr) tls_ = Handshake(access_->tls, fd_);
  fcntl(fd_, F_SETFL, O_NONBLOCK);
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
  nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
                                             {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
}

Connection::~Connection() {
  nghttp2_session_del(session_);
  SSL_free(tls_);
  close(fd_);
}

ssize_t Connection::Read(char* out, size_t size) {
  if (tls_ == nullptr) return read(fd_, out, size);
  size_t total = 0;  // A call gives one record at most.
  while (total < size) {
    const int got = SSL_read(tls_, out + total, static_cast<int>(size - total));
    if (got <= 0) {
      if (total > 0) break;
      const int error = SSL_get_error(tls_, got);
      if (error == SSL_ERROR_ZERO_RETURN) return 0;
      if (error == SSL_ERROR_WANT_READ) errno = EAGAIN;
      return -1;
    }
    total += static_cast<size_t>(got);
  }
  return static_cast<ssize_t>(total);
}

ssize_t Connection::Write(const char* data, size_t size) {
  if (tls_ == nullptr) return write(fd_, data, size);
  const int sent = SSL_write(tls_, data, static_cast<int>(size));
  if (sent > 0) return sent;
  if (SSL_get_error(tls_, sent) == SSL_ERROR_WANT_WRITE) errno = EAGAIN;
  return -1;
}

Call* Connection::Start(std::string_view path, std::string_view message, bool unary) {
  if (free_.empty()) {
    calls_.push_back(std::make_unique<Call>());
    free_.push_back(calls_.back().get());
  }
  Call* call = free_.back();
  free_.pop_back();
  *call = {.out = std::move(call->out), .in = std::move(call->in)};
  call->out.clear();
  call->in.clear();
  AppendFramed(message, &call->out);
  call->out_ends = unary;
  const nghttp2_nv headers[] = {
      Header(":method", "POST"),    Header(":scheme", tls_ == nullptr ? "http" : "https"),
      Header(":path", path),        Header(":authority", "localhost"),
      Header("te", "trailers"),     Header("content-type", "application/grpc"),
      Header("user-agent", "load"), Header("token", access_->token)};
  const size_t count = sizeof headers / sizeof headers[0] - (access_->token.empty() ? 1 : 0);
  nghttp2_data_provider body{};
  body.source.ptr = call;
  body.read_callback = ReadBody;
  call->stream = nghttp2_submit_request(session_, nullptr, headers, count, &body, call);
  if (call->stream < 0) {
    std::fprintf(stderr, "quorate_load: %s\n", nghttp2_strerror(call->stream));
    std::exit(1);
  }
  return call;
}

void Connection::Send(Call* call, std::string_view message) {
  call->out.erase(0, call->out_sent);
  call->out_sent = 0;
  AppendFramed(message, &call->out);
  if (call->deferred) {
    call->deferred = false;
    nghttp2_session_resume_data(session_, call->stream);
  }
}

ssize_t Connection::ReadBody(nghttp2_session*, int32_t, uint8_t* buffer, size_t length, uint32_t* flags,
                             nghttp2_data_source* source, void*) {
  auto* call = static_cast<Call*>(source->ptr);
  const size_t size = std::min(length, call->out.size() - call->out_sent);
  if (size == 0 && !call->out_ends) {
    call->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  std::memcpy(buffer, call->out.data() + call->out_sent, size);
  call->out_sent += size;
  if (call->out_ends && call->out_sent == call->out.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

int Connection::OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                         size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
  if (name_size != 11 || std::memcmp(name, "grpc-status", 11) != 0) return 0;
  auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  if (call == nullptr) return 0;
  call->grpc_status = 0;
  for (size_t i = 0; i < value_size; ++i) call->grpc_status = call->grpc_status * 10 + (value[i] - '0');
  return 0;
}

int Connection::OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* data, size_t size,
                       void* user) {
  auto* self = static_cast<Connection*>(user);
  auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  if (call == nullptr) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (call->in.empty()) {
    call->in.append(bytes.substr(self->TakeMessages(call, bytes)));
  } else {
    call->in.append(bytes);
    call->in.erase(0, self->TakeMessages(call, call->in));
  }
  return 0;
}

size_t Connection::TakeMessages(Call* call, std::string_view bytes) {
  size_t at = 0;
  while (bytes.size() - at >= 5) {
    const auto byte = [&](size_t i) {
      return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i]));
    };
    const size_t size = byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4);
    if (bytes.size() - at - 5 < size) break;
    handler_->OnMessage(call, bytes.substr(at + 5, size));
    at += 5 + size;
  }
  return at;
}

int Connection::OnClose(nghttp2_session* session, int32_t stream, uint32_t, void* user) {
  auto* self = static_cast<Connection*>(user);
  auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  if (call == nullptr) return 0;
  self->handler_->OnEnd(call);
  self->free_.push_back(call);
  return 0;
}

void Connection::OnReady() {
  char buffer[256 * 1024];
  for (;;) {
    const ssize_t got = Read(buffer, sizeof buffer);
    if (got == 0) {
      errno = ECONNRESET;
      Die("the server closed a connection");
    }
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) Die("read");
    if (nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer), static_cast<size_t>(got)) <
        0) {
      errno = EPROTO;
      Die("HTTP/2");
    }
    if (tls_ == nullptr && static_cast<size_t>(got) < sizeof buffer) break;
  }
  Flush();
}

void Connection::Flush() {
  for (;;) {
    while (pending_.size() < 256 * 1024) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size <= 0) break;
      pending_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
    if (pending_.empty()) return;
    const ssize_t sent = Write(pending_.data() + pending_sent_, pending_.size() - pending_sent_);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) Die("write");
    pending_sent_ += static_cast<size_t>(sent);
    if (pending_sent_ < pending_.size()) continue;
    pending_.clear();
    pending_sent_ = 0;
  }
}

}  // namespace quorate::bench
