#include "rpc/v2_member_change.h"

#include <charconv>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/go_json.h"
#include "base/wipe.h"
#include "cluster/member.h"
#include "cluster/membership_errors.h"
#include "cluster/urls.h"
#include "gateway/json_decode.h"
#include "gateway/json_syntax.h"
#include "rpc.pb.h"
#include "rpc/parse.h"

namespace quorate::rpc {
namespace {

using net::Code;

// RFC 7617: "NAME:PASSWORD". False: there are none.
bool ReadBasicCredentials(const net::HttpRequest& request, Secret* credentials) {
  constexpr std::string_view kScheme = "Basic ";
  const auto header = request.header("Authorization");
  if (!header || !header->starts_with(kScheme)) return false;
  const std::string_view encoded = header->substr(kScheme.size());
  // Decoding grows it no further.
  ReserveWiping(credentials->mutable_bytes(), encoded.size());
  return absl::Base64Unescape({encoded.data(), encoded.size()}, credentials->mutable_bytes()) &&
         credentials->view().find(':') != std::string_view::npos;
}

Status ReadJson(const std::string& body, google::protobuf::Message* message) {
  gateway::JsonValues values(body);
  if (values.AtEnd()) return InvalidArgument("unexpected end of JSON input");
  QUORATE_ASSIGN_OR_RETURN(const std::string_view value, values.Next());
  if (!values.AtEnd()) {
    return InvalidArgument("invalid character '" + std::string(values.rest().substr(0, 1)) +
                           "' after top-level value");
  }
  return gateway::DecodeJson(value, message);
}

}  // namespace

void SendV2Error(net::HttpReply& reply, net::HttpHeaders headers, int status, std::string_view text) {
  headers.emplace_back("Content-Type", "application/json");
  std::string body = "{\"message\":";
  AppendGoString(body, text);
  reply.Send(status, headers, body + "}");
}

void AppendV2Member(std::string& out, const cluster::Member& member) {
  out += "{\"id\":\"" + cluster::IdText(member.id) + "\",\"name\":";
  AppendGoString(out, member.attributes.name);
  out += ",\"peerURLs\":";
  AppendGoStrings(out, member.peer_urls);
  out += ",\"clientURLs\":";
  AppendGoStrings(out, member.attributes.client_urls);
  out += '}';
}

void V2MemberChange::Start(const net::HttpRequest& request, std::string_view item) {
  peer_ = request.peer;
  method_ = request.method;
  if (!ReadRequest(request, item)) return;
  reply_.OnClosed([self = shared_from_this()] {
    if (self->call_ != nullptr) self->call_->Abandon();
    self->call_.reset();
  });
  if (member_.auth().enabled()) return LogIn(request);
  Change();
}

bool V2MemberChange::ReadRequest(const net::HttpRequest& request, std::string_view item) {
  if (method_ == "POST") return ReadPeerUrls(request);
  id_text_ = item;
  const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), id_, 16);
  if (error != std::errc() || end != item.data() + item.size()) {
    return SendV2Error(reply_, headers_, 404, "No such member: " + id_text_), false;
  }
  return method_ == "DELETE" || ReadPeerUrls(request);
}

bool V2MemberChange::ReadPeerUrls(const net::HttpRequest& request) {
  const std::string type(request.header("Content-Type").value_or(""));
  // Many clients append the charset.
  if (absl::StripAsciiWhitespace(type.substr(0, type.find(';'))) != "application/json") {
    SendV2Error(reply_, headers_, 415, "Bad Content-Type " + type + ", accept application/json");
    return false;
  }
  etcdserverpb::MemberUpdateRequest body;
  Status status = ReadJson(request.body, &body);
  if (status.ok()) {
    auto urls = cluster::ParseUrls({body.peerurls().begin(), body.peerurls().end()});
    status = urls.status();
    if (urls.ok()) peer_urls_ = *std::move(urls);
  }
  if (!status.ok()) SendV2Error(reply_, headers_, 400, Message(status));
  return status.ok();
}

void V2MemberChange::LogIn(const net::HttpRequest& request) {
  Secret credentials;
  if (!ReadBasicCredentials(request, &credentials)) return Fail(Code::kUnauthenticated, {});
  const std::string_view text = credentials.view();
  const size_t colon = text.find(':');
  etcdserverpb::AuthenticateRequest login;
  login.set_name(text.data(), colon);
  login.set_password(text.data() + colon + 1, text.size() - colon - 1);
  Secret message;
  ReserveWiping(message.mutable_bytes(), login.ByteSizeLong());
  login.AppendToString(message.mutable_bytes());
  Wipe(login.mutable_password());
  logging_in_ = true;
  Call("/etcdserverpb.Auth/Authenticate", message.view(), {});
}

void V2MemberChange::Call(const std::string& path, std::string_view message, net::HttpHeaders metadata) {
  call_ = net::LocalCall::Open(
      calls_, {.path = path, .metadata = std::move(metadata), .peer = peer_, .timeout = std::nullopt}, this);
  call_->Send(message);
}

void V2MemberChange::Change() {
  net::HttpHeaders metadata;
  if (!token_.empty()) metadata.emplace_back("token", token_);
  const std::string service = "/etcdserverpb.Cluster/";
  if (method_ == "POST") {
    etcdserverpb::MemberAddRequest add;
    for (const std::string& url : peer_urls_) add.add_peerurls(url);
    return Call(service + "MemberAdd", add.SerializeAsString(), std::move(metadata));
  }
  if (method_ == "DELETE") {
    etcdserverpb::MemberRemoveRequest remove;
    remove.set_id(id_);
    return Call(service + "MemberRemove", remove.SerializeAsString(), std::move(metadata));
  }
  etcdserverpb::MemberUpdateRequest update;
  update.set_id(id_);
  for (const std::string& url : peer_urls_) update.add_peerurls(url);
  Call(service + "MemberUpdate", update.SerializeAsString(), std::move(metadata));
}

void V2MemberChange::OnEnd(Code code, std::string_view message) {
  // Answering drops what holds this object.
  const std::shared_ptr<V2MemberChange> self = shared_from_this();
  if (code != Code::kOk) return Fail(code, message);
  if (!std::exchange(logging_in_, false)) return Succeed();
  etcdserverpb::AuthenticateResponse response;
  if (!Parse(response_, &response)) return Fail(Code::kInternal, "a login without its token");
  token_ = response.token();
  Change();
}

void V2MemberChange::Succeed() {
  if (method_ != "POST") return reply_.Send(204, headers_, {});
  etcdserverpb::MemberAddResponse response;
  if (!Parse(response_, &response)) return Fail(Code::kInternal, "an addition without its member");
  cluster::Member added;
  added.id = response.member().id();
  added.peer_urls = peer_urls_;
  std::string body;
  AppendV2Member(body, added);
  headers_.emplace_back("Content-Type", "application/json");
  reply_.Send(201, headers_, body + "\n");
}

void V2MemberChange::Fail(Code code, std::string_view message) {
  const std::shared_ptr<V2MemberChange> self = shared_from_this();
  if (logging_in_ && code == Code::kInvalidArgument) code = Code::kUnauthenticated;  // A wrong password.
  const auto answer = [this](int status, std::string_view text) {
    SendV2Error(reply_, std::move(headers_), status, text);
  };
  if (code == Code::kUnauthenticated || code == Code::kPermissionDenied) {
    return answer(401, "Insufficient credentials");
  }
  if (code == Code::kNotFound && member_.membership().removed(id_)) {
    return answer(410, "Member permanently removed: " + cluster::IdText(id_));
  }
  if (code == Code::kNotFound) return answer(404, "No such member: " + cluster::IdText(id_));
  if (message == Message(cluster::ErrPeerUrlExists())) return answer(409, "membership: peerURL exists");
  if (message == Message(cluster::ErrMemberExists())) return answer(409, "membership: ID exists");
  answer(500, message);
}

}  // namespace quorate::rpc
