#include "rpc/auth_service.h"

#include <memory>
#include <utility>

#include "auth/auth_errors.h"
#include "auth/password.h"
#include "raft_internal.pb.h"
#include "rpc/parse.h"

namespace quorate::rpc {
namespace {

constexpr std::string_view kService = "etcdserverpb.Auth";

}  // namespace

void AuthService::Register(std::span<net::Server* const> servers) {
  // All but Authenticate go through the log as they are; the permission is checked when they are applied.
  const auto logged = [&]<typename Request>(std::string_view method, server::EntryKind kind, Request*) {
    context_.AddUnary(servers, kService, method, [this, kind, method](Call call, std::string_view bytes) {
      Request request;
      if (!Parse(bytes, &request)) return call.Fail(MalformedRequest(method));
      const auto who = context_.Identify(call);
      if (!who.ok()) return call.Fail(who.status());
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

template <typename Request>
void AuthService::AddPassword(Call call, server::EntryKind kind, std::string_view method,
                              std::string_view bytes) {
  Request request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest(method));
  auto who = context_.Identify(call);
  if (!who.ok()) return call.Fail(who.status());
  request.DiscardUnknownFields();
  PasswordRequest job{
      call, kind, request.SerializeAsString(), *std::move(who), request.name(), request.password()};
  // One who may not do it is told so when it is applied, and costs nothing more before.
  const bool plain = !request.password().empty() && request.hashedpassword().empty();
  if (!plain || !member_.auth().IsAdminPermitted(job.who).ok()) return ProposePassword(job);
  to_hash_.push_back(std::move(job));
  if (!hashing_) HashNext();
}

void AuthService::HashNext() {
  hashing_ = !to_hash_.empty();
  if (!hashing_) return;
  auto hash = std::make_shared<StatusOr<std::string>>();
  member_.env().executor->Submit(
      Lane::kRead,
      [hash, password = to_hash_.front().password, cost = member_.auth().bcrypt_cost(),
       salt = member_.auth().NewSalt()] { *hash = auth::HashPassword(password, cost, salt); },
      [this, hash] {
        const PasswordRequest request = std::move(to_hash_.front());
        to_hash_.pop_front();
        // What can't be hashed is refused when it is applied.
        if (hash->ok()) member_.auth().KeepHash(request.name, request.password, **hash);
        ProposePassword(request);
        HashNext();
      });
}

void AuthService::ProposePassword(const PasswordRequest& request) {
  member_.Propose(request.kind, request.bytes, request.who,
                  [this, call = request.call, name = request.name](const Status& status,
                                                                   std::string_view response) mutable {
                    member_.auth().ForgetHash(name);
                    call.Finish(status, response);
                  });
}

void AuthService::Authenticate(Call call, std::string_view bytes) {
  etcdserverpb::AuthenticateRequest request;
  if (!Parse(bytes, &request)) return call.Fail(MalformedRequest("AuthenticateRequest"));
  member_.WhenLinearizable([this, call, request](const Status& status) mutable {
    if (!status.ok()) return call.Fail(status);
    CheckPassword(call, request.name(), request.password());
  });
}

void AuthService::CheckPassword(Call call, std::string name, std::string password) {
  auto check = member_.auth().BeginPasswordCheck(name);
  if (!check.ok()) return call.Fail(check.status());
  struct Job {
    auth::AuthStore::PasswordCheck check;
    std::string name, password;
    bool right = false;
  };
  auto job = std::make_shared<Job>(Job{*std::move(check), std::move(name), std::move(password)});
  member_.env().executor->Submit(
      Lane::kRead, [job] { job->right = auth::VerifyPassword(job->check.hash, job->password); },
      [this, call, job]() mutable {
        if (!job->right) return call.Fail(auth::ErrAuthFailed());
        GiveToken(call, std::move(job->name), std::move(job->password), job->check.revision);
      });
}

void AuthService::GiveToken(Call call, std::string name, std::string password, uint64_t revision) {
  // The password is not needed by those who apply, and stays out of the log.
  etcdserverpb::InternalAuthenticateRequest request;
  request.set_name(name);
  request.set_simple_token(member_.auth().NewTokenPrefix());
  member_.Propose(server::EntryKind::kAuthenticate, request.SerializeAsString(), {},
                  [this, call, name = std::move(name), password = std::move(password), revision](
                      const Status& status, std::string_view response) mutable {
                    if (status.ok() && member_.auth().revision() != revision) {
                      return CheckPassword(call, std::move(name), std::move(password));
                    }
                    call.Finish(status, response);
                  });
}

}  // namespace quorate::rpc
