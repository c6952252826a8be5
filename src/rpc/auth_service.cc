#include "rpc/auth_service.h"

#include <memory>
#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "auth/auth_errors.h"
#include "base/log_limit.h"
#include "base/wire.h"
#include "cluster/version.h"
#include "raft_internal.pb.h"
#include "rpc/parse.h"
#include "server/errors.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Auth";
// Beyond them a password says nothing any more; refused as the original does since it logs hashes.
constexpr size_t kBcryptBytesMax = 72;

// Of a name that nobody has, what the log is told: many may wait for their refusal.
std::string Shown(const std::string& name) {
  constexpr size_t kShownMax = 512;
  if (name.size() <= kShownMax) return name;
  return name.substr(0, kShownMax) + "... (" + std::to_string(name.size()) + " bytes)";
}

bool NoPassword(const etcdserverpb::AuthUserAddRequest& request) { return request.options().no_password(); }
bool NoPassword(const etcdserverpb::AuthUserChangePasswordRequest&) { return false; }

// Refused before the log: a member that runs etcd would end when it applies such a one.
template <typename Request>
Status CheckNewName(const Request& request) {
  if constexpr (std::is_same_v<Request, etcdserverpb::AuthUserAddRequest>) {
    return auth::CheckUserNameFits(request.name());
  }
  if constexpr (std::is_same_v<Request, etcdserverpb::AuthRoleAddRequest>) {
    return auth::CheckRoleNameFits(request.name());
  }
  return absl::OkStatus();
}

// Whether a password, be it an empty one, is to be hashed. Since 3.5 an empty one in a change means that the
// client has sent a hash.
bool NeedsHash(const etcdserverpb::AuthUserAddRequest& request, bool, bool) { return !NoPassword(request); }
bool NeedsHash(const etcdserverpb::AuthUserChangePasswordRequest&, bool logs_hashes, bool empty) {
  return !logs_hashes || !empty;
}

}  // namespace

void AuthService::Register(std::span<net::Server* const> servers) {
  // All but Authenticate go through the log as they are; the permission is checked when they are applied.
  const auto logged = [&]<typename Request>(std::string_view method, server::EntryKind kind, Request*) {
    context_.AddUnary(servers, kService, method, [this, kind, method](Call call, std::string_view bytes) {
      Request request;
      if (!Parse(bytes, &request)) return call.Fail(MalformedRequest(method));
      const auto who = context_.Identify(call);
      if (!who.ok()) return call.Fail(who.status());
      if (const Status bad = CheckNewName(request); !bad.ok()) return call.Fail(bad);
      request.DiscardUnknownFields();
      member_.Propose(kind, request.SerializeAsString(), *who, ReplyTo(call));
    });
  };
  using server::EntryKind;
  namespace pb = etcdserverpb;
  logged("AuthEnable", EntryKind::kAuthEnable, static_cast<pb::AuthEnableRequest*>(nullptr));
  logged("AuthDisable", EntryKind::kAuthDisable, static_cast<pb::AuthDisableRequest*>(nullptr));
  logged("UserGet", EntryKind::kAuthUserGet, static_cast<pb::AuthUserGetRequest*>(nullptr));
  logged("UserList", EntryKind::kAuthUserList, static_cast<pb::AuthUserListRequest*>(nullptr));
  logged("UserDelete", EntryKind::kAuthUserDelete, static_cast<pb::AuthUserDeleteRequest*>(nullptr));
  logged("UserGrantRole", EntryKind::kAuthUserGrantRole, static_cast<pb::AuthUserGrantRoleRequest*>(nullptr));
  logged("UserRevokeRole", EntryKind::kAuthUserRevokeRole,
         static_cast<pb::AuthUserRevokeRoleRequest*>(nullptr));
  logged("RoleAdd", EntryKind::kAuthRoleAdd, static_cast<pb::AuthRoleAddRequest*>(nullptr));
  logged("RoleGet", EntryKind::kAuthRoleGet, static_cast<pb::AuthRoleGetRequest*>(nullptr));
  logged("RoleList", EntryKind::kAuthRoleList, static_cast<pb::AuthRoleListRequest*>(nullptr));
  logged("RoleDelete", EntryKind::kAuthRoleDelete, static_cast<pb::AuthRoleDeleteRequest*>(nullptr));
  logged("RoleGrantPermission", EntryKind::kAuthRoleGrantPermission,
         static_cast<pb::AuthRoleGrantPermissionRequest*>(nullptr));
  logged("RoleRevokePermission", EntryKind::kAuthRoleRevokePermission,
         static_cast<pb::AuthRoleRevokePermissionRequest*>(nullptr));

  context_.AddUnary(servers, kService, "UserAdd", [this](Call call, std::string_view bytes) {
    AddPassword<pb::AuthUserAddRequest>(call, EntryKind::kAuthUserAdd, "UserAdd", bytes);
  });
  context_.AddUnary(servers, kService, "UserChangePassword", [this](Call call, std::string_view bytes) {
    AddPassword<pb::AuthUserChangePasswordRequest>(call, EntryKind::kAuthUserChangePassword,
                                                   "UserChangePassword", bytes);
  });

  // A log of 3.4 can't hold an auth_status entry, so the question is answered after a read-index round
  // instead.
  context_.AddUnary(servers, kService, "AuthStatus", [this](Call call, std::string_view) {
    if (const auto who = context_.Identify(call); !who.ok()) return call.Fail(who.status());
    member_.WhenLinearizable([this, call](const Status& status) mutable {
      if (!status.ok()) return call.Fail(status);
      etcdserverpb::AuthStatusResponse response;
      response.set_enabled(member_.auth().enabled());
      response.set_authrevision(member_.auth().revision());
      RespondWith(call, member_.header(), response);
    });
  });
  context_.AddUnary(servers, kService, "Authenticate",
                    [this](Call call, std::string_view bytes) { Authenticate(call, bytes); });
}

bool AuthService::LogsHashes() const {
  return member_.membership().version().value_or(cluster::kInitialClusterVersion) >= cluster::kVersion35;
}

template <typename Request>
void AuthService::AddPassword(Call call, server::EntryKind kind, std::string_view method,
                              std::string_view bytes) {
  const auto request = std::make_shared<Request>();
  if (!Parse(bytes, request.get())) return call.Fail(MalformedRequest(method));
  auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  if (const Status bad = CheckNewName(*request); !bad.ok()) return call.Fail(bad);
  request->DiscardUnknownFields();
  const auto password = std::make_shared<const Secret>(request->password());
  Wipe(request->mutable_password());
  PasswordRequest job{call,
                      kind,
                      *std::move(who),
                      request->name(),
                      password,
                      [request](std::string_view plain, std::string_view hashed) {
                        request->set_password(plain.data(), plain.size());
                        request->set_hashedpassword(hashed.data(), hashed.size());
                        std::string body = request->SerializeAsString();
                        Wipe(request->mutable_password());
                        return body;
                      }};
  if (!NeedsHash(*request, LogsHashes(), password->view().empty())) {
    const std::string hashed = LogsHashes() && !NoPassword(*request) ? request->hashedpassword() : "";
    return member_.Propose(kind, job.encode({}, hashed), job.who, ReplyTo(call));
  }
  if (member_.auth().IsAdminPermitted(job.who).ok()) return Hash(std::move(job));
  // One who may not do it costs nothing more, and his password gets nowhere.
  member_.WhenLinearizable(
      [this, job = std::move(job)](const Status& status) mutable {
        const Status denied = status.ok() ? member_.auth().IsAdminPermitted(job.who) : status;
        if (!denied.ok()) return job.call.Fail(denied);
        Hash(std::move(job));
      },
      bytes.size());
}

void AuthService::Hash(PasswordRequest request) {
  if (to_hash_.size() >= PasswordWork::kWaitingMax) return request.call.Fail(server::ErrTooManyRequests());
  if (LogsHashes() && request.password->view().size() > kBcryptBytesMax) {
    return request.call.Fail(Unknown("bcrypt: password length exceeds 72 bytes"));
  }
  to_hash_.push_back(std::move(request));
  if (!hashing_) HashNext();
}

void AuthService::HashNext() {
  hashing_ = !to_hash_.empty();
  if (!hashing_) return;
  auto hash = std::make_shared<StatusOr<std::string>>();
  const bool taken = password_work_.Submit({
      .peer = std::string(to_hash_.front().call.peer()),
      .wanted = [] { return true; },
      .work = [hash, password = to_hash_.front().password, cost = member_.auth().bcrypt_cost(),
               salt = member_.auth().NewSalt()] { *hash = auth::HashPassword(password->view(), cost, salt); },
      .done =
          [this, hash] {
            PasswordRequest request = std::move(to_hash_.front());
            to_hash_.pop_front();
            if (hash->ok()) {
              ProposePassword(request, **hash);
            } else {
              request.call.Fail(hash->status());
            }
            HashNext();
          },
  });
  if (taken) return;
  hashing_ = false;
  for (PasswordRequest& request : std::exchange(to_hash_, {}))
    request.call.Fail(server::ErrTooManyRequests());
}

void AuthService::ProposePassword(const PasswordRequest& request, const std::string& hash) {
  if (LogsHashes()) {
    return member_.Propose(request.kind, request.encode({}, absl::Base64Escape(hash)), request.who,
                           ReplyTo(request.call));
  }
  member_.auth().KeepHash(request.name, request.password->view(), hash);
  std::string body = request.encode(request.password->view(), {});
  member_.Propose(request.kind, body, request.who,
                  [this, call = request.call, name = request.name](const Status& status,
                                                                   std::string_view response) mutable {
                    member_.auth().ForgetHash(name);
                    call.Finish(status, response);
                  });
  Wipe(&body);
}

struct AuthService::Login {
  Login(Call c, std::string n, std::string_view p) : call(c), name(std::move(n)), password(p) {}

  Call call;
  std::string name;
  Secret password;
  auth::AuthStore::PasswordCheck check;
  bool right = false;
};

void AuthService::Authenticate(Call call, std::string_view bytes) {
  etcdserverpb::AuthenticateRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("AuthenticateRequest"));
  const std::string_view counts = std::string_view(request.password()).substr(0, kBcryptBytesMax);
  const auto login = std::make_shared<Login>(call, request.name(), counts);
  Wipe(request.mutable_password());
  member_.WhenLinearizable(
      [this, login](const Status& status) {
        if (!status.ok()) return login->call.Fail(status);
        CheckPassword(login);
      },
      login->name.size());
}

void AuthService::CheckPassword(const std::shared_ptr<Login>& login) {
  const auth::AuthStore& store = member_.auth();
  auto check = store.BeginPasswordCheck(login->name);
  const bool known = check.ok();
  if (!known) login->name = Shown(login->name);
  if (!known && check.status() != auth::ErrAuthFailed()) return Refuse(login, check.status());
  login->check =
      known ? *std::move(check) : auth::AuthStore::PasswordCheck{auth::HashOfNobody(store.bcrypt_cost())};
  const bool taken = password_work_.Submit({
      .peer = std::string(login->call.peer()),
      .wanted = [login] { return !login->call.closed(); },
      .work = [login] { login->right = auth::VerifyPassword(login->check.hash, login->password.view()); },
      .done =
          [this, login, known] {
            if (known && login->right) return GiveToken(login);
            Refuse(login, auth::ErrAuthFailed());
          },
  });
  if (!taken) login->call.Fail(server::ErrTooManyRequests());
}

void AuthService::Refuse(const std::shared_ptr<Login>& login, const Status& why) {
  if (why != auth::ErrAuthNotEnabled()) {
    LOG_WARN_LIMITED("invalid authentication was requested", {"user", login->name}, {"error", Message(why)});
  }
  login->call.Fail(why);
}

void AuthService::GiveToken(const std::shared_ptr<Login>& login) {
  // The password is not needed by those who apply, and stays out of the log.
  etcdserverpb::InternalAuthenticateRequest request;
  request.set_name(login->name);
  request.set_simple_token(member_.auth().NewTokenPrefix());
  member_.Propose(server::EntryKind::kAuthenticate, request.SerializeAsString(), {},
                  [this, login](const Status& status, std::string_view response) {
                    if (status.ok() && member_.auth().revision() != login->check.revision) {
                      return CheckPassword(login);
                    }
                    if (status.ok() && member_.auth().jwt() != nullptr) return SignToken(login, response);
                    login->call.Finish(status, response);
                  });
}

void AuthService::SignToken(const std::shared_ptr<Login>& login, std::string_view response) {
  auto token = std::make_shared<StatusOr<std::string>>();
  member_.env().executor->Submit(
      Lane::kRead,
      [login, token, jwt = member_.auth().jwt(), clock = member_.env().clock] {
        *token = jwt->Sign(login->name, login->check.revision, clock->WallNanos());
      },
      [login, token, header = std::string(response)]() mutable {
        if (!token->ok()) return login->call.Fail(token->status());
        wire::AppendBytesField(header, etcdserverpb::AuthenticateResponse::kTokenFieldNumber, **token);
        login->call.Respond(header);
      });
}

}  // namespace quorate::rpc
