#include "cmd/http_client/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cmd/http_client/go_errors.h"

namespace quorate::cmd {
namespace {

// Far above any list of members; a server that sends more is none of ours.
constexpr size_t kBodyBytesMax = size_t{16} << 20;

struct Url {
  std::string scheme;
  std::string host;  // Without port and brackets.
  std::string host_port;
};

Url Split(const std::string& text) {
  Url url;
  const size_t colon = text.find(':');
  url.scheme = text.substr(0, colon);
  if (colon == std::string::npos || text.compare(colon, 3, "://") != 0) return url;
  std::string rest = text.substr(colon + 3);
  url.host_port = rest.substr(0, rest.find_first_of("/?#"));
  if (url.host_port.starts_with('[')) {
    url.host = url.host_port.substr(1, url.host_port.find(']') - 1);
  } else {
    url.host = url.host_port.substr(0, url.host_port.rfind(':'));
  }
  return url;
}

// No proxy is asked for this machine itself, as in Go.
bool IsLoopback(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

std::string AddressText(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (address->sa_family == AF_INET6) {
    const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  return "";
}

// "DNS:a, IP Address:10.0.0.1".
std::vector<std::string> SplitNames(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(", "));
    names.emplace_back(name);
    text.remove_prefix(std::min(text.size(), name.size() + 2));
  }
  return names;
}

using HeaderList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

}  // namespace

struct HttpClient::Handle {
  CURL* curl = nullptr;
  HttpOptions options;
  char error[CURL_ERROR_SIZE] = "";
  std::string address;  // The first that the present request tried.
  HttpReply reply;

  static curl_socket_t OpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
    std::string& first = static_cast<Handle*>(self)->address;
    if (first.empty()) first = AddressText(&address->addr);
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  static size_t TakeBody(char* data, size_t size, size_t count, void* self) {
    std::string& body = static_cast<Handle*>(self)->reply.body;
    if (body.size() + size * count > kBodyBytesMax) return 0;
    body.append(data, size * count);
    return size * count;
  }

  void SetRequest(const HttpRequest& request, const Url& url, const HttpLimits& limits, curl_slist* headers);
  void SetTls(const Url& url, curl_slist* connect_to);
  HttpFailure Failure(CURLcode code, const Url& url);
  // Of the server's certificate, as "NAME:VALUE"; valid until the next request.
  std::vector<std::string_view> CertificateRows();
  void TakeServerFacts();
};

HttpClient::HttpClient(HttpOptions options) : handle_(std::make_unique<Handle>()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_->curl = curl_easy_init();
  QUORATE_CHECK(handle_->curl != nullptr);
  handle_->options = std::move(options);
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(handle_->curl);
  curl_global_cleanup();
}

void HttpClient::Handle::SetRequest(const HttpRequest& request, const Url& url, const HttpLimits& limits,
                                    curl_slist* headers) {
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "quoratectl");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (request.body) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body->data());
  }
  if (request.credentials) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERPWD, request.credentials->c_str());
  }
  if (IsLoopback(url.host)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(limits.answer.count()));
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &Handle::OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Handle::TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
}

void HttpClient::Handle::SetTls(const Url& url, curl_slist* connect_to) {
  if (!options.files.ca.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, options.files.ca.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!options.files.cert.empty()) {
    curl_easy_setopt(curl, CURLOPT_SSLCERT, options.files.cert.c_str());
    curl_easy_setopt(curl, CURLOPT_SSLKEY, options.files.key.c_str());
  }
  if (options.skip_verify) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  // For its end, and for the names in it should they be wrong.
  curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
  if (url.scheme.ends_with("s") && connect_to != nullptr)
    curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to);
}

HttpFailure HttpClient::Handle::Failure(CURLcode code, const Url& url) {
  FailedExchange failed;
  failed.curl_code = code;
  failed.curl_text = error;
  failed.host = options.server_name.empty() ? url.host : options.server_name;
  failed.address = address;
  failed.https = url.scheme == "https";
  long os_error = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
  failed.os_error = static_cast<int>(os_error);
  curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &failed.verify_result);
  curl_off_t micros = 0;
  failed.connected = curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &micros) == CURLE_OK && micros > 0;
  failed.secured = curl_easy_getinfo(curl, CURLINFO_APPCONNECT_TIME_T, &micros) == CURLE_OK && micros > 0;
  for (const std::string_view row : CertificateRows()) {
    constexpr std::string_view kNames = "X509v3 Subject Alternative Name:";
    if (row.starts_with(kNames)) failed.subject_names = SplitNames(row.substr(kNames.size()));
  }
  return Explain(failed);
}

std::vector<std::string_view> HttpClient::Handle::CertificateRows() {
  std::vector<std::string_view> rows;
  curl_certinfo* certificates = nullptr;
  if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &certificates) != CURLE_OK || certificates == nullptr ||
      certificates->num_of_certs < 1) {
    return rows;
  }
  for (const curl_slist* row = certificates->certinfo[0]; row != nullptr; row = row->next)
    rows.emplace_back(row->data);
  return rows;
}

void HttpClient::Handle::TakeServerFacts() {
  const curl_header* date = nullptr;
  if (curl_easy_header(curl, "Date", 0, CURLH_HEADER, -1, const_cast<curl_header**>(&date)) == CURLHE_OK) {
    if (const time_t seconds = curl_getdate(date->value, nullptr); seconds >= 0) reply.date_seconds = seconds;
  }
  for (const std::string_view row : CertificateRows()) {
    constexpr std::string_view kEnd = "Expire date:";
    if (!row.starts_with(kEnd)) continue;
    const time_t seconds = curl_getdate(std::string(row.substr(kEnd.size())).c_str(), nullptr);
    if (seconds >= 0) reply.certificate = ServerCertificate{seconds};
  }
}

std::variant<HttpReply, HttpFailure> HttpClient::Do(const HttpRequest& request, const HttpLimits& limits) {
  const Url url = Split(request.url);
  const bool is_unix = url.scheme == "unix" || url.scheme == "unixs";
  if (!is_unix && url.scheme != "http" && url.scheme != "https") {
    return HttpFailure{HttpFailure::Kind::kOther, "unsupported protocol scheme \"" + url.scheme + "\""};
  }
  CURL* const curl = handle_->curl;
  curl_easy_reset(curl);
  handle_->error[0] = '\0';
  handle_->address.clear();
  handle_->reply = {};
  HeaderList headers(curl_slist_append(nullptr, "Expect:"), curl_slist_free_all);
  if (request.body) {
    headers.reset(curl_slist_append(headers.release(), "Content-Type: application/json"));
  }
  handle_->SetRequest(request, url, limits, headers.get());
  HeaderList connect_to(nullptr, curl_slist_free_all);
  std::string target = request.url;
  if (is_unix) {
    // The host is the socket's name: unix://NAME becomes http://NAME through it.
    target.replace(0, url.scheme.size(), url.scheme == "unix" ? "http" : "https");
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, url.host_port.c_str());
  } else if (!handle_->options.server_name.empty() && url.scheme == "https") {
    // Only so does libcurl check the certificate for another name than the one that it connects to.
    const size_t at = target.find("://") + 3;
    const std::string port =
        url.host_port.substr(std::min(url.host_port.size(), url.host_port.find_last_of(':')));
    connect_to.reset(curl_slist_append(nullptr, ("::" + url.host_port).c_str()));
    target.replace(at, url.host_port.size(), handle_->options.server_name + port);
  }
  handle_->SetTls(url, connect_to.get());
  curl_easy_setopt(curl, CURLOPT_URL, target.c_str());
  if (const CURLcode code = curl_easy_perform(curl); code != CURLE_OK) return handle_->Failure(code, url);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  handle_->reply.status = static_cast<int>(status);
  const char* location = nullptr;
  if (curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location) == CURLE_OK && location != nullptr) {
    handle_->reply.location = location;
  }
  handle_->TakeServerFacts();
  return handle_->reply;
}

}  // namespace quorate::cmd
