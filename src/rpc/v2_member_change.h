// A change of the members that came as a request to /v2/members: logs in when it must, then calls the Cluster
// service. Core thread only. It lives as long as its HTTP exchange.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/local_call.h"
#include "server/member.h"

namespace quorate::rpc {

class V2MemberChange : public net::LocalCall::Receiver, public std::enable_shared_from_this<V2MemberChange> {
 public:
  V2MemberChange(server::Member* member, net::Server* calls, net::HttpReply reply, net::HttpHeaders headers)
      : member_(*member), calls_(calls), reply_(std::move(reply)), headers_(std::move(headers)) {}

  // `item`: what follows /v2/members/ in the path.
  void Start(const net::HttpRequest& request, std::string_view item);

  void OnResponse(std::string_view message) override { response_ = message; }
  void OnEnd(net::Code code, std::string_view message) override;
  size_t pending_bytes() const override { return 0; }
  bool full() override { return false; }
  bool MayTake(size_t) override { return true; }  // Answers of a few bytes.
  void OnQueued(size_t) override {}
  bool OnHeld(size_t) override { return true; }  // Nothing that lasts.

 private:
  // What is to be called; false: the request was answered instead.
  bool ReadRequest(const net::HttpRequest& request, std::string_view item);
  bool ReadPeerUrls(const net::HttpRequest& request);
  void LogIn(const net::HttpRequest& request);
  void Call(const std::string& path, std::string_view message, net::HttpHeaders metadata);
  void Change();
  void Succeed();
  void Fail(net::Code code, std::string_view message);

  server::Member& member_;
  net::Server* const calls_;
  net::HttpReply reply_;
  net::HttpHeaders headers_;
  std::shared_ptr<net::LocalCall> call_;
  std::string peer_;
  std::string method_;   // POST, DELETE or PUT.
  std::string id_text_;  // The member, as the client wrote it.
  uint64_t id_ = 0;
  std::vector<std::string> peer_urls_;
  bool logging_in_ = false;
  std::string token_;
  std::string response_;
};

// {"message":TEXT}, with its status, as the original's v2 handlers answer errors.
void SendV2Error(net::HttpReply& reply, net::HttpHeaders headers, int status, std::string_view text);
// {"id":"...","name":...,"peerURLs":[...],"clientURLs":[...]}
void AppendV2Member(std::string& out, const cluster::Member& member);

}  // namespace quorate::rpc
