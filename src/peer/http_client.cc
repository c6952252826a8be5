#include "peer/http_client.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace quorate::peer {
namespace http = boost::beast::http;
namespace {

// Framing of small things fits into one piece; what is larger than that goes in chunks of any size.
std::string ChunkHead(size_t size) {
  char text[24];
  const int n = std::snprintf(text, sizeof(text), "%zx\r\n", size);
  return {text, static_cast<size_t>(n)};
}

bool EqualNoCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualNoCase(key, name)) return value;
  }
  return {};
}

// The body of an answer is handed on as it is parsed.
struct HttpCall::Body {
  using value_type = HttpCall*;

  class reader {
   public:
    template <bool IsRequest, typename Fields>
    reader(http::header<IsRequest, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>&, boost::system::error_code& error) { error = {}; }
    template <typename Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      size_t size = 0;
      for (const boost::asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
        size += buffer.size();
        Handler* const handler = body_->handler_;
        if (handler == nullptr || buffer.size() == 0) continue;
        handler->OnBody({static_cast<const char*>(buffer.data()), buffer.size()});
      }
      return size;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;  // Set after this was made.
  };
};

struct HttpCall::Parser {
  explicit Parser(HttpCall* call) {
    beast.get().body() = call;
    beast.header_limit(kHeaderBytesMax);
    beast.body_limit(boost::none);
  }
  http::response_parser<Body> beast;
};

HttpCall::HttpCall(HttpClient* client, ClientRequest request, Handler* handler)
    : client_(client), request_(std::move(request)), handler_(handler), body_ended_(!request_.streams_body) {}

HttpCall::~HttpCall() { Cancel(); }

void HttpCall::Cancel() {
  handler_ = nullptr;
  if (client_ == nullptr) return;
  client_->loop()->Cancel(std::exchange(timer_, 0));
  client_ = nullptr;
  if (socket_ != nullptr) socket_->Close();
}

void HttpCall::Fail(const Status& status) {
  Handler* const handler = handler_;
  Cancel();
  if (handler != nullptr) handler->OnFailed(status);
}

void HttpCall::Start(Endpoint endpoint) {
  endpoint_ = std::move(endpoint);
  if (request_.may_reuse) socket_ = client_->TakeKept(endpoint_);
  if (socket_ == nullptr) return Dial();
  reused_ = true;
  socket_->set_handler(this);
  ArmTimer();
  SendRequest();
}

void HttpCall::Dial() {
  socket_ = std::make_shared<ClientSocket>(client_->loop(), endpoint_, client_->tls_);
  socket_->Dial(&client_->resolver_, &client_->sessions_, request_.dial_timeout_nanos, this);
}

void HttpCall::OnConnected() {
  ArmTimer();
  SendRequest();
}

void HttpCall::SendRequest() {
  std::string head = request_.method + " " + request_.target + " HTTP/1.1\r\nHost: ";
  head += endpoint_.unix_path.empty() ? endpoint_.authority : "localhost";
  head += "\r\n";
  for (const auto& [name, value] : request_.headers) head += name + ": " + value + "\r\n";
  if (request_.streams_body) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!request_.body.empty() || request_.method != "GET") {
    head += "Content-Length: " + std::to_string(request_.body.size()) + "\r\n";
  }
  head += "\r\n";
  socket_->Write(head);
  socket_->Write(request_.body);
  socket_->Write(early_body_);
  sent_ = true;
  socket_->Flush();
  if (!std::exchange(early_body_, {}).empty() && socket_->pending_bytes() == 0) OnDrained();
}

void HttpCall::WriteBody(std::string_view bytes) {
  if (client_ == nullptr || bytes.empty()) return;
  const std::string head = ChunkHead(bytes.size());
  if (!sent_) {
    early_body_.append(head).append(bytes).append("\r\n");
    return;
  }
  socket_->Write(head);
  socket_->Write(bytes);
  socket_->Write("\r\n");
  socket_->Flush();
}

void HttpCall::EndBody() {
  if (client_ == nullptr) return;
  body_ended_ = true;
  if (!sent_) {
    early_body_.append("0\r\n\r\n");
    return;
  }
  socket_->Write("0\r\n\r\n");
  socket_->Flush();
}

size_t HttpCall::pending_bytes() const {
  return early_body_.size() + (socket_ == nullptr ? 0 : socket_->pending_bytes());
}

void HttpCall::ArmTimer() {
  const int64_t due = socket_->last_progress() + request_.idle_timeout_nanos;
  const int64_t delay = std::max<int64_t>(due - client_->loop()->now(), 1);
  timer_ = client_->loop()->After(net::Loop::Nanos(delay), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnTimer();
  });
}

void HttpCall::OnTimer() {
  timer_ = 0;
  if (client_ == nullptr) return;
  if (client_->loop()->now() < socket_->last_progress() + request_.idle_timeout_nanos) return ArmTimer();
  Fail(absl::DeadlineExceededError("read tcp " + endpoint_.authority + ": i/o timeout"));
}

void HttpCall::OnDrained() {
  if (handler_ != nullptr && !body_ended_) handler_->OnDrained();
}

void HttpCall::OnBytes(std::string_view bytes) {
  const auto self = shared_from_this();
  answered_ = true;
  in_.Append(bytes);
  Parse();
  if (client_ != nullptr && in_.size() > kLeftOverMax) {
    Fail(InvalidArgument(endpoint_.authority + ": malformed HTTP response"));
  }
}

void HttpCall::Parse() {
  while (client_ != nullptr && !in_.empty()) {
    if (parser_ == nullptr) parser_ = std::make_unique<Parser>(this);
    boost::system::error_code error;
    const size_t n = parser_->beast.put(boost::asio::const_buffer(in_.data(), in_.size()), error);
    in_.Consume(n);
    if (client_ == nullptr || error == http::error::need_more) return;
    if (error) {
      return Fail(InvalidArgument(endpoint_.authority + ": malformed HTTP response: " + error.message()));
    }
    if (!head_taken_ && parser_->beast.is_header_done()) TakeHead();
    if (client_ == nullptr) return;
    if (parser_ != nullptr && parser_->beast.is_done()) return FinishAnswer();
  }
}

// Interim answers (1xx) are passed over.
void HttpCall::TakeHead() {
  const auto& message = parser_->beast.get();
  if (message.result_int() / 100 == 1) {
    parser_.reset();
    return;
  }
  head_taken_ = true;
  head_.status = static_cast<int>(message.result_int());
  for (const auto& field : message) {
    const auto name = field.name_string();
    const auto value = field.value();
    head_.headers.emplace_back(std::string(name.data(), name.size()),
                               std::string(value.data(), value.size()));
  }
  parser_->beast.eager(true);
  handler_->OnHead(head_);
}

void HttpCall::FinishAnswer() {
  Handler* const handler = handler_;
  const bool keep = request_.may_reuse && body_ended_ && parser_->beast.keep_alive() && in_.empty() &&
                    socket_->pending_bytes() == 0 && !socket_->closed();
  if (keep) client_->Keep(std::exchange(socket_, nullptr));
  Cancel();
  handler->OnEnd();
}

void HttpCall::OnClosed(const Status& status) {
  const auto self = shared_from_this();
  if (reused_ && !answered_) {
    // Kept too long: the other had closed it before it saw the request.
    reused_ = false;
    sent_ = false;
    client_->loop()->Cancel(std::exchange(timer_, 0));
    return Dial();
  }
  if (status.ok() && parser_ != nullptr && head_taken_) {
    boost::system::error_code error;
    parser_->beast.put_eof(error);
    if (!error && parser_->beast.is_done()) return FinishAnswer();
  }
  Fail(status.ok() ? Unavailable(endpoint_.authority + ": unexpected EOF") : status);
}

HttpClient::~HttpClient() { Close(); }

void HttpClient::Close() {
  kept_.clear();
  if (sweep_ != 0) loop_->Cancel(std::exchange(sweep_, 0));
}

std::shared_ptr<HttpCall> HttpClient::Start(const Endpoint& endpoint, ClientRequest request,
                                            HttpCall::Handler* handler) {
  auto call = std::make_shared<HttpCall>(this, std::move(request), handler);
  call->Start(endpoint);
  return call;
}

std::shared_ptr<ClientSocket> HttpClient::TakeKept(const Endpoint& endpoint) {
  DropOld();
  const auto it = kept_.find(KeptKey(endpoint));
  if (it == kept_.end()) return nullptr;
  std::shared_ptr<ClientSocket> socket = std::move(it->second.back().socket);
  it->second.pop_back();
  if (it->second.empty()) kept_.erase(it);
  return socket;
}

void HttpClient::Keep(std::shared_ptr<ClientSocket> socket) {
  socket->set_handler(nullptr);
  std::vector<Kept>& kept = kept_[KeptKey(socket->endpoint())];
  if (kept.size() >= kKeptMax) kept.erase(kept.begin());
  kept.push_back({std::move(socket), loop_->now() + kKeepAlive.count()});
  if (sweep_ != 0) return;
  sweep_ = loop_->After(kKeepAlive, [this] {
    sweep_ = 0;
    DropOld();
  });
}

void HttpClient::DropOld() {
  for (auto it = kept_.begin(); it != kept_.end();) {
    std::erase_if(it->second,
                  [&](const Kept& kept) { return kept.until <= loop_->now() || kept.socket->closed(); });
    it = it->second.empty() ? kept_.erase(it) : std::next(it);
  }
  if (kept_.empty() || sweep_ != 0) return;
  sweep_ = loop_->After(kKeepAlive, [this] {
    sweep_ = 0;
    DropOld();
  });
}

}  // namespace quorate::peer
