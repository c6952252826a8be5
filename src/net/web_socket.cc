#include "net/web_socket.h"

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "base/wipe.h"

namespace quorate::net {
namespace {

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

// Whether a header that is a list of tokens has this one.
bool HasToken(const HttpRequest& request, std::string_view name, std::string_view token) {
  for (const auto& [key, value] : request.headers) {
    if (!EqualNoCase(key, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      std::string_view item = rest.substr(0, comma);
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
      while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
      while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
      if (EqualNoCase(item, token)) return true;
    }
  }
  return false;
}

// RFC 6455, 4.2.2.
std::string AcceptKey(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  QUORATE_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

// What is wrong with the request; empty: nothing.
std::string_view Fault(const HttpRequest& request) {
  if (request.method != "GET") return "a WebSocket begins with GET";
  if (!HasToken(request, "Sec-WebSocket-Version", "13")) return "Sec-WebSocket-Version must be 13";
  std::string nonce;
  const std::string_view key = request.header("Sec-WebSocket-Key").value_or("");
  if (!absl::Base64Unescape(absl::string_view(key.data(), key.size()), &nonce) || nonce.size() != 16) {
    return "Sec-WebSocket-Key must be 16 bytes as base64";
  }
  return {};
}

void Refuse(HttpReply& reply, std::string_view fault) {
  reply.Send(400, {{"Content-Type", "text/plain; charset=utf-8"}, {"Sec-WebSocket-Version", "13"}},
             "Bad Request: " + std::string(fault) + "\n");
}

}  // namespace

struct WebSocket::Callbacks {
  static ssize_t Receive(wslay_event_context_ptr context, uint8_t* buffer, size_t length, int, void* user) {
    auto* const self = static_cast<WebSocket*>(user);
    // What wslay has there it is done with, and it may have been a password.
    Wipe(buffer, length);
    if (self->input_.empty()) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const size_t n = std::min(length, self->input_.size());
    std::memcpy(buffer, self->input_.data(), n);
    self->input_.remove_prefix(n);
    return static_cast<ssize_t>(n);
  }
  static ssize_t Send(wslay_event_context_ptr, const uint8_t* data, size_t length, int, void* user) {
    static_cast<WebSocket*>(user)->reply_.Write({reinterpret_cast<const char*>(data), length});
    return static_cast<ssize_t>(length);
  }
  static void BeginFrame(wslay_event_context_ptr context, const wslay_event_on_frame_recv_start_arg* arg,
                         void* user) {
    auto* const self = static_cast<WebSocket*>(user);
    self->control_frame_ = wslay_is_ctrl_frame(arg->opcode);
    if (self->control_frame_) return;
    if (!std::exchange(self->mid_message_, true)) ++self->message_number_;
    if (self->message_.size() + arg->payload_length <= self->message_bytes_max_) return;
    self->too_long_ = true;
    wslay_event_queue_close(context, WSLAY_CODE_MESSAGE_TOO_BIG, nullptr, 0);
    wslay_event_shutdown_read(context);
  }
  static void Chunk(wslay_event_context_ptr, const wslay_event_on_frame_recv_chunk_arg* arg, void* user) {
    auto* const self = static_cast<WebSocket*>(user);
    if (self->control_frame_ || self->too_long_) return;
    AppendWiping(&self->message_, {reinterpret_cast<const char*>(arg->data), arg->data_length});
  }
  static void Message(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* arg, void* user) {
    auto* const self = static_cast<WebSocket*>(user);
    if (wslay_is_ctrl_frame(arg->opcode)) return;
    self->mid_message_ = false;
    std::string message = std::exchange(self->message_, {});
    if (self->receiver_ != nullptr && !self->too_long_) self->receiver_->OnMessage(message);
    Wipe(&message);
  }
};

WebSocket::WebSocket(HttpReply reply, size_t message_bytes_max, Receiver* receiver)
    : reply_(std::move(reply)), receiver_(receiver), message_bytes_max_(message_bytes_max) {
  wslay_event_callbacks callbacks{};
  callbacks.recv_callback = Callbacks::Receive;
  callbacks.send_callback = Callbacks::Send;
  callbacks.on_frame_recv_start_callback = Callbacks::BeginFrame;
  callbacks.on_frame_recv_chunk_callback = Callbacks::Chunk;
  callbacks.on_msg_recv_callback = Callbacks::Message;
  QUORATE_CHECK(wslay_event_context_server_init(&context_, &callbacks, this) == 0);
  wslay_event_config_set_no_buffering(context_, 1);
  wslay_event_config_set_max_recv_msg_length(context_, message_bytes_max);
}

WebSocket::~WebSocket() {
  wslay_event_context_free(context_);
  Wipe(&message_);
}

bool WebSocket::Wanted(const HttpRequest& request) {
  return HasToken(request, "Connection", "upgrade") && HasToken(request, "Upgrade", "websocket");
}

std::shared_ptr<WebSocket> WebSocket::Accept(const HttpRequest& request, HttpReply reply,
                                             const HttpHeaders& headers, size_t message_bytes_max,
                                             Receiver* receiver) {
  if (const std::string_view fault = Fault(request); !fault.empty()) return Refuse(reply, fault), nullptr;
  const std::shared_ptr<WebSocket> socket(new WebSocket(reply, message_bytes_max, receiver));
  HttpHeaders answer = headers;
  answer.emplace_back("Upgrade", "websocket");
  answer.emplace_back("Connection", "Upgrade");
  answer.emplace_back("Sec-WebSocket-Accept", AcceptKey(*request.header("Sec-WebSocket-Key")));
  if (!reply.TakeOver(answer, socket)) return Refuse(reply, "not a connection of HTTP/1.1"), nullptr;
  reply.OnClosed([weak = std::weak_ptr<WebSocket>(socket)] {
    if (const auto self = weak.lock(); self != nullptr) self->Lose();
  });
  reply.OnWritable([weak = std::weak_ptr<WebSocket>(socket)] {
    const auto self = weak.lock();
    if (self != nullptr && self->receiver_ != nullptr) self->receiver_->OnWritable();
  });
  return socket;
}

// The capacity counts: who sends in small pieces makes us hold that much.
HttpBodySink::Part WebSocket::part() const {
  if (!mid_message_) return {};
  return {std::max<size_t>(message_.capacity(), 1), message_number_};
}

void WebSocket::OnBytes(std::string_view bytes) {
  const std::shared_ptr<WebSocket> self = shared_from_this();
  input_ = bytes;
  const int error = wslay_event_recv(context_);
  input_ = {};
  Flush();
  // The answer to a close frame, or the complaint about a broken one, is on its way.
  if (error == 0 && !wslay_event_get_close_received(context_) && wslay_event_get_read_enabled(context_))
    return;
  Lose();
  reply_.End();
}

void WebSocket::Send(std::string_view text) {
  const std::shared_ptr<WebSocket> self = shared_from_this();
  wslay_event_msg message{WSLAY_TEXT_FRAME, reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  if (receiver_ != nullptr && wslay_event_queue_msg(context_, &message) == 0) Flush();
}

void WebSocket::Close(uint16_t code, std::string_view reason) {
  if (std::exchange(receiver_, nullptr) == nullptr) return;
  const std::shared_ptr<WebSocket> self = shared_from_this();
  wslay_event_queue_close(context_, code, reinterpret_cast<const uint8_t*>(reason.data()), reason.size());
  Flush();
  reply_.End();
}

void WebSocket::Flush() {
  if (wslay_event_want_write(context_) != 0) wslay_event_send(context_);
}

void WebSocket::Lose() {
  Receiver* const receiver = std::exchange(receiver_, nullptr);
  if (receiver != nullptr) receiver->OnClosed();
}

}  // namespace quorate::net
