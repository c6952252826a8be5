#include "cmd/session/session.h"

#include <grpc/support/log.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cmd/cli/near_names.h"
#include "cmd/session/error_text.h"
#include "cmd/session/password.h"
#include "cmd/session/srv_endpoints.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kPrefix = "ETCDCTL_";
// Variables that are no flags: which generation of the client this is, and what `watch` reads.
constexpr std::string_view kOtherVariables[] = {"ETCDCTL_API", "ETCDCTL_WATCH_KEY",
                                                "ETCDCTL_WATCH_RANGE_END"};
constexpr int kDefaultSendBytes = 2 * 1024 * 1024;

std::string VariableOf(const CLI::Option& option) {
  std::string name(kPrefix);
  for (const char c : option.get_lnames()[0]) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// Rounded up: zero is "none" to the client.
std::chrono::milliseconds Milliseconds(int64_t nanos) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(nanos));
}

std::string Trimmed(std::string text) {
  constexpr const char* kSpaces = " \t\r\n\v\f";
  text.erase(0, text.find_first_not_of(kSpaces));
  text.erase(text.find_last_not_of(kSpaces) + 1);
  return text;
}

// In Go's words, which people know.
Status CheckReadable(const std::string& path) {
  if (access(path.c_str(), R_OK) == 0) return absl::OkStatus();
  std::string why = std::strerror(errno);
  why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
  return InvalidArgument("open " + path + ": " + why);
}

// gRPC would tell each failed handshake on stderr; what is behind a failure is told with it.
void SilenceGrpc() {
  gpr_set_log_function([](gpr_log_func_args*) {});
}

// Scripts misspell variables as people misspell flags.
void WarnOfUnknownVariable(const std::string& name, const std::vector<std::string>& known) {
  std::fprintf(stderr, "warning: unrecognized environment variable %s%s\n", name.c_str(),
               DidYouMean(NearNames(name, known)).c_str());
}

// The command's words with their values; secrets stay unseen.
void ShowVariables(const std::vector<CLI::Option*>& options) {
  for (const CLI::Option* option : options) {
    const std::string name = VariableOf(*option);
    const bool secret =
        name == "ETCDCTL_PASSWORD" || name == "ETCDCTL_AUTH_JWT_TOKEN" || name == "ETCDCTL_USER";
    std::string value = option->get_default_str();
    if (option->count() > 0) value = secret ? "(hidden)" : CLI::detail::join(option->results(), ",");
    std::fprintf(stderr, "%s=%s\n", name.c_str(), value.c_str());
  }
}

}  // namespace

CtlSession::CtlSession(CommandTree* tree) : tree_(*tree) {
  CLI::App* const root = tree_.root();
  const auto text = [&](const char* name, std::string* value, const char* description) {
    options_.push_back(root->add_option(name, *value, description));
  };
  const auto duration = [&](const char* name, int64_t* value, const char* description) {
    options_.push_back(CommandTree::AddDuration(root, name, value, description));
  };
  const auto on_off = [&](const char* name, bool* value, const char* description) {
    options_.push_back(root->add_flag(name, *value, description)->default_str(*value ? "true" : ""));
  };
  options_.push_back(root->add_option("--endpoints", flags_.endpoints, "gRPC endpoints")
                         ->delimiter(',')
                         ->default_str(flags_.endpoints[0]));
  on_off("--debug", &flags_.debug, "enable client-side debug logging");
  options_.push_back(root->add_option("-w,--write-out", flags_.write_out,
                                      "set the output format (fields, json, protobuf, simple, table)")
                         ->default_str(flags_.write_out));
  on_off("--hex", &flags_.hex, "print byte strings as hex encoded strings");
  duration("--dial-timeout", &flags_.dial_timeout, "dial timeout for client connections");
  duration("--command-timeout", &flags_.command_timeout,
           "timeout for short running command (excluding dial timeout)");
  duration("--keepalive-time", &flags_.keepalive_time, "keepalive time for client connections");
  duration("--keepalive-timeout", &flags_.keepalive_timeout, "keepalive timeout for client connections");
  options_.push_back(
      root->add_option("--max-request-bytes", flags_.max_request_bytes,
                       "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB)"));
  options_.push_back(
      root->add_option("--max-recv-bytes", flags_.max_receive_bytes,
                       "client-side response receive limit in bytes (if 0, it is not limited)"));
  on_off("--insecure-transport", &flags_.insecure_transport,
         "disable transport security for client connections");
  on_off("--insecure-discovery", &flags_.insecure_discovery,
         "accept insecure SRV records describing cluster endpoints");
  on_off("--insecure-skip-tls-verify", &flags_.insecure_skip_tls_verify,
         "skip server certificate verification (CAUTION: this option should be enabled only for testing "
         "purposes)");
  text("--cert", &flags_.cert, "identify secure client using this TLS certificate file");
  text("--key", &flags_.key, "identify secure client using this TLS key file");
  text("--cacert", &flags_.cacert, "verify certificates of TLS-enabled secure servers using this CA bundle");
  text("--user", &flags_.user, "username[:password] for authentication (prompt if password is not supplied)");
  text("--password", &flags_.password,
       "password for authentication (if this option is used, --user option shouldn't include password)");
  text("--auth-jwt-token", &flags_.auth_jwt_token,
       "JWT token used for authentication (if this option is used, --user and --password should not be set)");
  text("-d,--discovery-srv", &flags_.discovery_srv,
       "domain name to query for SRV records describing cluster endpoints");
  text("--discovery-srv-name", &flags_.discovery_srv_name, "service name to query when using DNS discovery");
}

bool CtlSession::Given(const char* name) const { return tree_.root()->get_option(name)->count() > 0; }

Status CtlSession::TakeEnvironment() {
  std::vector<std::string> known(std::begin(kOtherVariables), std::end(kOtherVariables));
  for (CLI::Option* option : options_) {
    const std::string name = VariableOf(*option);
    known.push_back(name);
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) continue;
    if (option->count() > 0) {
      return InvalidArgument("conflicting environment variable \"" + name +
                             "\" is shadowed by corresponding command-line flag (either unset environment "
                             "variable or disable flag)");
    }
    if (*value == '\0') continue;
    if (const Status set = SetOption(option, value); !set.ok()) {
      return InvalidArgument("invalid value for environment variable " + name + ": " +
                             std::string(Message(set)));
    }
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string name(*variable, std::strcspn(*variable, "="));
    if (!name.starts_with(kPrefix)) continue;
    if (std::find(known.begin(), known.end(), name) == known.end()) WarnOfUnknownVariable(name, known);
  }
  return absl::OkStatus();
}

Status CtlSession::CheckFlags() const {
  for (const char* name : {"--cert", "--key", "--cacert"}) {
    if (Given(name) && tree_.root()->get_option(name)->as<std::string>().empty()) {
      return InvalidArgument("empty string is passed to " + std::string(name) + " option");
    }
  }
  if (flags_.cert.empty() != flags_.key.empty()) {
    return InvalidArgument("KeyFile and CertFile must both be present[key: " + flags_.key +
                           ", cert: " + flags_.cert + "]");
  }
  for (const std::string& file : {flags_.cert, flags_.key, flags_.cacert}) {
    if (!file.empty()) QUORATE_RETURN_IF_ERROR(CheckReadable(file));
  }
  if (!flags_.auth_jwt_token.empty() && (!flags_.user.empty() || !flags_.password.empty())) {
    return InvalidArgument("--auth-jwt-token can't be used together with --user or --password");
  }
  return absl::OkStatus();
}

Status CtlSession::AskForPassword() {
  if (flags_.user.empty()) return absl::OkStatus();
  username_ = flags_.user;
  password_ = flags_.password;
  if (!password_.empty()) return absl::OkStatus();
  if (const size_t colon = flags_.user.find(':'); colon != std::string::npos) {
    username_ = flags_.user.substr(0, colon);
    password_ = flags_.user.substr(colon + 1);
    return absl::OkStatus();
  }
  password_ = AskPassword("Password: ");
  return absl::OkStatus();
}

std::optional<int> CtlSession::Prepare() {
  if (prepared_) return *prepared_ == 0 ? std::nullopt : prepared_;
  const auto ended = [this](ExitCode code, std::string_view text) {
    prepared_ = exit_code_ = cmd::Fail(code, text);
    return prepared_;
  };
  if (const Status taken = TakeEnvironment(); !taken.ok()) return ended(ExitCode::kError, Message(taken));
  if (flags_.debug) {
    ShowVariables(options_);
  } else {
    SilenceGrpc();
  }
  if (const Status checked = CheckFlags(); !checked.ok()) {
    return ended(ExitCode::kBadArguments, Message(checked));
  }
  const auto format = ParseOutputFormat(flags_.write_out);
  if (!format) return ended(ExitCode::kBadFeature, UnsupportedFormatText(flags_.write_out));
  format_ = *format;
  if (const Status asked = AskForPassword(); !asked.ok()) return ended(ExitCode::kError, Message(asked));
  prepared_ = 0;
  return std::nullopt;
}

StatusOr<std::vector<std::string>> CtlSession::Endpoints() {
  std::vector<std::string> endpoints;
  if (!flags_.discovery_srv.empty()) {
    QUORATE_ASSIGN_OR_RETURN(endpoints, EndpointsFromSrv(flags_.discovery_srv, flags_.discovery_srv_name,
                                                         !flags_.insecure_discovery));
  }
  if (!endpoints.empty()) return endpoints;
  for (const std::string& endpoint : flags_.endpoints) endpoints.push_back(Trimmed(endpoint));
  return endpoints;
}

StatusOr<client::Options> CtlSession::ClientOptions() {
  client::Options options;
  // DNS names what certificates must hold, unless anybody's records are believed.
  const std::string server_name = flags_.insecure_discovery ? "" : flags_.discovery_srv;
  const bool named = !flags_.cert.empty() || !flags_.key.empty() || !flags_.cacert.empty() ||
                     !server_name.empty() || !flags_.insecure_transport;
  if (named || flags_.insecure_skip_tls_verify) {
    options.tls = client::TlsOptions{.ca_file = flags_.cacert,
                                     .cert_file = flags_.cert,
                                     .key_file = flags_.key,
                                     .server_name = server_name,
                                     .insecure_skip_verify = flags_.insecure_skip_tls_verify};
    options.tls_without_scheme = named;
  }
  // etcd's client, too, asks without a user when one of them is missing.
  if (!username_.empty() && !password_.empty()) {
    options.username = username_;
    options.password = password_;
  }
  options.token = flags_.auth_jwt_token;
  options.dial_timeout = Milliseconds(flags_.dial_timeout);
  options.keepalive_time = Milliseconds(flags_.keepalive_time);
  options.keepalive_timeout = Milliseconds(flags_.keepalive_timeout);
  options.request_timeout = Milliseconds(flags_.command_timeout);
  constexpr int64_t kMost = INT32_MAX;
  options.max_send_bytes = flags_.max_request_bytes > 0
                               ? static_cast<int>(std::min(flags_.max_request_bytes, kMost))
                               : kDefaultSendBytes;
  if (flags_.max_receive_bytes > 0) {
    options.max_receive_bytes = static_cast<int>(std::min(flags_.max_receive_bytes, kMost));
  }
  if (flags_.debug) {
    options.log = [](std::string_view line) {
      std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
    };
  }
  return options;
}

StatusOr<std::unique_ptr<client::Client>> CtlSession::ConnectTo(std::vector<std::string> endpoints) {
  QUORATE_ASSIGN_OR_RETURN(client::Options options, ClientOptions());
  options.endpoints = std::move(endpoints);
  return client::Client::Connect(std::move(options));
}

client::Client* CtlSession::Connect() {
  if (client_) return client_.get();
  if (Prepare()) return nullptr;
  auto endpoints = Endpoints();
  if (!endpoints.ok()) {
    exit_code_ = Fail(endpoints.status());
    return nullptr;
  }
  if (endpoints->size() == 1 && (*endpoints)[0].empty()) {
    exit_code_ = cmd::Fail(ExitCode::kBadConnection, "etcdclient: no available endpoints");
    return nullptr;
  }
  auto client = ConnectTo(*std::move(endpoints));
  if (!client.ok()) {
    const bool arguments = absl::IsInvalidArgument(client.status()) && !IsServerText(client.status());
    exit_code_ = Fail(client.status(), arguments ? ExitCode::kBadArguments : ExitCode::kBadConnection);
    return nullptr;
  }
  client_ = *std::move(client);
  return client_.get();
}

std::optional<std::vector<std::string>> CtlSession::EndpointsOf(bool cluster) {
  if (Prepare()) return std::nullopt;
  if (!cluster) {
    auto endpoints = Endpoints();
    if (endpoints.ok()) return *std::move(endpoints);
    exit_code_ = Fail(endpoints.status());
    return std::nullopt;
  }
  client::Client* const client = Connect();
  if (client == nullptr) return std::nullopt;
  const auto members = client->cluster().List(true, Call());
  if (!members.ok()) {
    exit_code_ =
        Fail(MakeStatus(members.status().code(), "failed to fetch endpoints from etcd cluster member list: " +
                                                     std::string(Message(members.status()))));
    return std::nullopt;
  }
  std::vector<std::string> endpoints;
  for (const auto& member : members->members()) {
    endpoints.insert(endpoints.end(), member.clienturls().begin(), member.clienturls().end());
  }
  return endpoints;
}

std::chrono::milliseconds CtlSession::CommandTimeout() const {
  return std::max(Milliseconds(flags_.command_timeout), std::chrono::milliseconds(1));
}

client::CallOptions CtlSession::Call() const {
  client::CallOptions call;
  call.timeout = CommandTimeout();
  return call;
}

client::CallOptions CtlSession::CallAt(const std::string& endpoint) const {
  client::CallOptions call = Call();
  call.endpoint = endpoint;
  return call;
}

client::CallOptions CtlSession::LongCall() const {
  client::CallOptions call = Call();
  if (Given("--command-timeout")) return call;
  call.timeout = std::chrono::milliseconds(0);
  call.fail_fast = true;
  return call;
}

int CtlSession::Fail(const Status& status, ExitCode code) const {
  const int ended = cmd::Fail(code, EtcdText(status));
  const std::string advice = AdviceFor(status);
  if (!advice.empty()) std::fprintf(stderr, "%s\n", advice.c_str());
  return ended;
}

void CtlSession::TellFailure(const std::string& what, const Status& status) {
  std::fflush(stdout);
  const std::string advice = AdviceFor(status);
  const std::string text =
      what + " (" + EtcdText(status) + ")" + (advice.empty() ? "" : "; ") + advice + "\n";
  std::fputs(text.c_str(), stderr);
}

}  // namespace quorate::cmd
