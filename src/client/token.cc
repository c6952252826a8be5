#include "client/token.h"

#include <utility>

#include "client/core.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

constexpr std::string_view kNotEnabled = "etcdserver: authentication is not enabled";

}  // namespace

Token::Token(Core* core, std::string username, std::string password, std::string fixed)
    : core_(*core),
      username_(std::move(username)),
      password_(std::move(password)),
      value_(std::move(fixed)) {}

void Token::Ensure(Done done) {
  if (!refused()) {
    done(absl::OkStatus());
    return;
  }
  waiting_.push_back(std::move(done));
  if (waiting_.size() == 1) Fetch();
}

void Token::Fetch() {
  etcdserverpb::AuthenticateRequest request;
  request.set_name(username_);
  request.set_password(password_);
  CallOptions options;
  // Waiting for ever would hold up calls that have a bound of their own.
  if (core_.options().dial_timeout.count() > 0) options.timeout = core_.options().dial_timeout;
  StartCall<etcdserverpb::AuthenticateResponse>(
      &core_, kAuthenticate, request, options, [this](StatusOr<etcdserverpb::AuthenticateResponse> response) {
        if (response.ok()) {
          value_ = response->token();
        } else if (Message(response.status()) == kNotEnabled) {
          value_.clear();  // Nobody needs a token then.
        } else {
          return Fetched(response.status());
        }
        ++generation_;
        Fetched(absl::OkStatus());
      });
}

void Token::Fetched(const Status& status) {
  for (Done& done : std::exchange(waiting_, {})) done(status);
}

}  // namespace quorate::client
