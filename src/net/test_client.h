// For the tests of this folder: a raw socket and an nghttp2 client that take turns with the server's loop on
// one thread, so that a test decides the order of everything.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/grpc_framing.h"
#include "net/server.h"

namespace quorate::net {

// Bounds for "it never happens", not for how long it takes: so many rounds, and so much time on a busy
// machine.
constexpr int kRoundsMax = 200'000;
constexpr std::chrono::seconds kTimeMin{60};

// Turns the loop until the condition holds.
inline bool TurnUntil(Loop* loop, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kTimeMin;
  for (int i = 0; i < kRoundsMax || std::chrono::steady_clock::now() < end; ++i) {
    if (condition()) return true;
    loop->RunRound(false);
    if (i % 64 == 63) poll(nullptr, 0, 1);
  }
  return condition();
}

class RawClient {
 public:
  RawClient(Loop* loop, uint16_t port, int receive_buffer = 0)
      : loop_(loop), fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    EXPECT_EQ(0, connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void HalfClose() { shutdown(fd_, SHUT_WR); }
  // All of it, turning the loop while the server is slow to read.
  void Write(std::string_view bytes) {
    for (int i = 0; !bytes.empty() && i < kRoundsMax; ++i) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN) return;  // The server has closed.
      loop_->RunRound(false);
    }
    EXPECT_TRUE(bytes.empty());
  }
  // What fits into the socket, without a turn of the loop.
  void Send(std::string_view bytes) {
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()), send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  // So much of it as the socket takes now.
  size_t SendSome(std::string_view bytes) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  // What is there now.
  std::string Read() {
    char buffer[65536];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) ended_ = true;
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
  }
  // Everything up to the server's close.
  std::string ReadAll() {
    std::string all;
    EXPECT_TRUE(TurnUntil(loop_, [&] {
      all += Read();
      return ended_;
    }));
    return all;
  }
  // Until `text` has come.
  std::string ReadUntil(std::string_view text) {
    std::string all;
    EXPECT_TRUE(TurnUntil(loop_, [&] {
      all += Read();
      return all.find(text) != std::string::npos || ended_;
    }));
    EXPECT_NE(std::string::npos, all.find(text)) << all;
    return all;
  }
  bool ended() const { return ended_; }
  Loop* loop() { return loop_; }

 private:
  Loop* loop_;
  int fd_;
  bool ended_ = false;
};

inline std::string Frame(std::string_view message, bool compressed = false) {
  std::string frame(kMessageHeaderBytes, '\0');
  WriteMessageHeader(frame.data(), message.size());
  frame[0] = compressed ? 1 : 0;
  return frame.append(message);
}

// The client's side of HTTP/2, without a way for its bytes.
class H2Session {
 public:
  struct Answer {
    std::map<std::string, std::string> head;  // Header and trailer together.
    std::string data;
    int header_blocks = 0;
    bool closed = false;
    uint32_t error = 0;

    // The one message of a unary answer.
    std::string message() const {
      return data.size() >= kMessageHeaderBytes ? data.substr(kMessageHeaderBytes) : "";
    }
    std::string get(const std::string& name) const {
      const auto it = head.find(name);
      return it == head.end() ? "(none)" : it->second;
    }
  };
  struct Body {
    std::string bytes;
    bool end = true;
    bool deferred = false;
  };

  explicit H2Session(bool manual_windows = false) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, &H2Session::OnHeader);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, &H2Session::OnBeginHeaders);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &H2Session::OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &H2Session::OnClose);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &H2Session::OnFrame);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, manual_windows ? 1 : 0);
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~H2Session() { nghttp2_session_del(session_); }
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  using Headers = std::vector<std::pair<std::string, std::string>>;

  int32_t Request(Headers headers, std::string body, bool end = true) {
    std::vector<nghttp2_nv> nv;
    for (auto& [name, value] : headers) {
      nv.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()),
                    name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = &H2Session::ReadBody;
    const bool none = body.empty() && end;
    const int32_t id =
        nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(), none ? nullptr : &provider, nullptr);
    EXPECT_GT(id, 0);
    bodies_[id] = {std::move(body), end, false};
    answers_[id];
    return id;
  }
  static Headers GrpcHeaders(const std::string& path, const Headers& extra = {}) {
    Headers headers = {{":method", "POST"}, {":scheme", "http"},
                       {":path", path},     {":authority", "localhost"},
                       {"te", "trailers"},  {"content-type", "application/grpc"}};
    headers.insert(headers.end(), extra.begin(), extra.end());
    return headers;
  }
  int32_t Grpc(const std::string& path, std::string body, const Headers& extra = {}, bool end = true) {
    return Request(GrpcHeaders(path, extra), std::move(body), end);
  }
  void MoreBody(int32_t id, std::string_view bytes, bool end) {
    bodies_[id].bytes.append(bytes);
    bodies_[id].end = end;
    if (std::exchange(bodies_[id].deferred, false)) nghttp2_session_resume_data(session_, id);
  }
  void Reset(int32_t id) { nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL); }
  void Ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

  // What the session wants to send now.
  std::string TakeOutput() {
    std::string out;
    for (;;) {
      const uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &data);
      if (n <= 0) return out;
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
    }
  }
  void Take(std::string_view bytes) {
    if (bytes.empty()) return;
    received += bytes;
    nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  const Answer& answer(int32_t id) { return answers_[id]; }
  nghttp2_session* session() { return session_; }

  std::string received;
  int goaways = 0;
  uint32_t goaway_error = 0;
  std::string goaway_debug;
  int pings = 0;

 private:
  static H2Session* Self(void* self) { return static_cast<H2Session*>(self); }
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    ++Self(self)->answers_[frame->hd.stream_id].header_blocks;
    return 0;
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* self) {
    Self(self)->answers_[frame->hd.stream_id].head[{reinterpret_cast<const char*>(name), name_size}] = {
        reinterpret_cast<const char*>(value), value_size};
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
    Self(self)->answers_[id].data.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t id, uint32_t error, void* self) {
    Self(self)->answers_[id].closed = true;
    Self(self)->answers_[id].error = error;
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) ++Self(self)->pings;
    if (frame->hd.type != NGHTTP2_GOAWAY) return 0;
    ++Self(self)->goaways;
    Self(self)->goaway_error = frame->goaway.error_code;
    Self(self)->goaway_debug.assign(reinterpret_cast<const char*>(frame->goaway.opaque_data),
                                    frame->goaway.opaque_data_len);
    return 0;
  }
  static ssize_t ReadBody(nghttp2_session*, int32_t id, uint8_t* out, size_t size, uint32_t* flags,
                          nghttp2_data_source*, void* self) {
    Body& body = Self(self)->bodies_[id];
    const size_t n = std::min(size, body.bytes.size());
    std::memcpy(out, body.bytes.data(), n);
    body.bytes.erase(0, n);
    if (body.bytes.empty() && body.end) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (n == 0 && !body.end) {
      body.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }

  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Body> bodies_;
  std::map<int32_t, Answer> answers_;
};

class H2Client : public H2Session {
 public:
  H2Client(Loop* loop, uint16_t port, int receive_buffer = 0, bool manual_windows = false)
      : H2Session(manual_windows), raw_(loop, port, receive_buffer) {}

  void Receive() { Take(raw_.Read()); }
  void Step() {
    raw_.Write(TakeOutput());
    raw_.loop()->RunRound(false);
    Receive();
  }
  bool Until(const std::function<bool()>& condition) {
    return TurnUntil(raw_.loop(), [&] {
      Step();
      return condition();
    });
  }
  const Answer& Await(int32_t id) {
    EXPECT_TRUE(Until([&] { return answer(id).closed || raw_.ended(); }));
    return answer(id);
  }
  RawClient& raw() { return raw_; }

 private:
  RawClient raw_;
};

}  // namespace quorate::net
