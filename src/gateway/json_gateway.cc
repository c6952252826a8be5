#include "gateway/json_gateway.h"

#include <memory>
#include <utility>

#include "gateway/json_exchange.h"
#include "gateway/json_socket.h"
#include "gateway/json_stream.h"
#include "gateway/routes.h"

namespace quorate::gateway {
namespace {

constexpr std::string_view kRoot = "/v3/";
constexpr std::string_view kBetaRoot = "/v3beta/";

// No such path, or no such method on it.
void RefuseRoute(net::HttpReply& reply, net::HttpHeaders headers, int status, net::Code code, Era era) {
  const std::string text(net::HttpReason(status));
  if (era == Era::k36) {
    headers.emplace_back("Content-Type", "application/json");
    return reply.Send(HttpStatus(code, era), headers, ErrorBody(code, text, era));
  }
  headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  reply.Send(status, headers, text + "\n");
}

}  // namespace

bool JsonGateway::Owns(std::string_view path) {
  return path.starts_with(kRoot) || path.starts_with(kBetaRoot);
}

const Route* JsonGateway::RouteOf(const net::HttpRequest& request) {
  std::string path = request.path;
  if (path.starts_with(kBetaRoot)) path = std::string(kRoot) + path.substr(kBetaRoot.size());
  return FindRoute(path);
}

bool JsonGateway::ReadsBody(const net::HttpRequest& request) {
  return request.method == "POST" && RouteOf(request) != nullptr;
}

std::shared_ptr<net::HttpBodySink> JsonGateway::TakeBody(const net::HttpRequest& request,
                                                         net::HttpHeaders headers) {
  const Route* route = RouteOf(request);
  if (route == nullptr || !route->client_streaming || request.method != "POST" ||
      net::WebSocket::Wanted(request)) {
    return nullptr;
  }
  return std::make_shared<JsonStream>(*route, era_(), std::move(headers), executor_, &turns_, server_,
                                      request);
}

void JsonGateway::Handle(const net::HttpRequest& request, net::HttpReply reply, net::HttpHeaders headers) {
  const Era era = era_();
  const Route* route = RouteOf(request);
  if (route == nullptr) return RefuseRoute(reply, std::move(headers), 404, net::Code::kNotFound, era);
  if (net::WebSocket::Wanted(request)) {
    return JsonSocket::Open(*route, era, server_, &turns_, request, std::move(reply));
  }
  if (request.method != "POST") {
    return RefuseRoute(reply, std::move(headers), 405, net::Code::kUnimplemented, era);
  }
  if (const auto sink = TakeBody(request, headers); sink != nullptr) {
    sink->OnBegin(std::move(reply));
    sink->OnBytes(request.body);
    return sink->OnEnd();
  }
  std::make_shared<JsonExchange>(*route, era, std::move(headers), executor_)
      ->Start(server_, request, std::move(reply));
}

}  // namespace quorate::gateway
