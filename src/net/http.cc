#include "net/http.h"

#include <boost/beast/http/status.hpp>

#include <utility>

#include "base/wipe.h"

namespace quorate::net {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualNoCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Takes "http://host:port" off a target that is written as for a proxy, which every server must understand
// (RFC 9112, 3.2.2); that host counts, and not the header's. Empty for all other targets.
std::string_view TakeAuthority(std::string_view* target) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (!EqualNoCase(target->substr(0, scheme.size()), scheme)) continue;
    target->remove_prefix(scheme.size());
    const std::string_view authority = target->substr(0, target->find_first_of("/?"));
    target->remove_prefix(authority.size());
    return authority.substr(authority.rfind('@') + 1);
  }
  return {};
}

}  // namespace

HttpRequest::~HttpRequest() {
  for (auto& [name, value] : headers) Wipe(&value);
  Wipe(&body);
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualNoCase(key, name)) return value;
  }
  return std::nullopt;
}

std::vector<std::string> HttpRequest::query_values(std::string_view name) const {
  std::vector<std::string> values;
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const size_t equals = part.find('=');
    const std::optional<std::string> key = PercentDecode(part.substr(0, equals), true);
    const std::optional<std::string> value =
        PercentDecode(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1), true);
    if (key && value && *key == name && !part.empty()) values.push_back(*value);
  }
  return values;
}

void HttpReply::Send(int status, const HttpHeaders& headers, std::string_view body) {
  if (closed()) return;
  const std::shared_ptr<HttpExchange> exchange = exchange_;
  exchange->Begin(status, headers, body.size());
  exchange->Write(body);
  exchange->End();
}
void HttpReply::Begin(int status, const HttpHeaders& headers) {
  if (!closed()) exchange_->Begin(status, headers, std::nullopt);
}
void HttpReply::Write(std::string_view bytes) {
  if (!closed()) exchange_->Write(bytes);
}
void HttpReply::End() {
  if (closed()) return;
  const std::shared_ptr<HttpExchange> exchange = exchange_;
  exchange->End();
}
size_t HttpReply::pending_bytes() const { return closed() ? 0 : exchange_->pending_bytes(); }
bool HttpReply::full() { return !closed() && exchange_->full(); }
bool HttpReply::closed() const { return exchange_ == nullptr || exchange_->closed(); }
bool HttpReply::HoldRequest(size_t bytes) { return closed() || exchange_->HoldRequest(bytes); }
void HttpReply::HoldOutput(size_t bytes) {
  if (!closed()) exchange_->HoldOutput(bytes);
}
bool HttpReply::MayTake(size_t bytes) { return closed() || exchange_->MayTake(bytes); }
void HttpReply::OnClosed(std::function<void()> fn) {
  if (!closed()) exchange_->on_closed = std::move(fn);
}
void HttpReply::OnWritable(std::function<void()> fn) {
  if (!closed()) exchange_->on_writable = std::move(fn);
}

void HttpReply::PauseBody(bool paused) {
  if (!closed()) exchange_->PauseBody(paused);
}

bool HttpReply::TakeOver(const HttpHeaders& headers, std::shared_ptr<HttpBodySink> sink) {
  return !closed() && exchange_->TakeOver(headers, std::move(sink));
}

std::string_view HttpReason(int status) {
  const boost::beast::string_view text =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return text == "<unknown-status>" ? std::string_view() : std::string_view(text.data(), text.size());
}

std::optional<std::string> PercentDecode(std::string_view s, bool plus_is_space) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (s[i] != '%') {
      out.push_back(s[i]);
    } else {
      if (s.size() - i < 3) return std::nullopt;
      const int high = HexDigit(s[i + 1]);
      const int low = HexDigit(s[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

void HttpRequest::SetTarget(std::string_view t) {
  target = t;
  host = TakeAuthority(&t);
  const size_t mark = t.find('?');
  const std::string_view raw_path = t.substr(0, mark);
  query = mark == std::string_view::npos ? std::string_view() : t.substr(mark + 1);
  path = PercentDecode(raw_path, false).value_or(std::string(raw_path));
  if (path.empty() && !host.empty()) path = "/";
}

}  // namespace quorate::net
