// make-mirror.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "cmd/quoratectl/make_mirror_command.h"
#include "cmd/quoratectl/mirror.h"
#include "cmd/session/password.h"

namespace quorate::cmd {
namespace {

constexpr std::chrono::seconds kReportInterval{30};

struct MirrorFlags {
  std::string prefix;
  std::string dest_prefix;
  bool no_dest_prefix = false;
  int64_t rev = 0;
  uint64_t max_txn_ops = 128;
  std::string dest_cert;
  std::string dest_key;
  std::string dest_cacert;
  bool dest_insecure_transport = true;
  std::string dest_user;
  std::string dest_password;
};

StatusOr<client::Options> DestOptions(CtlSession* session, const MirrorFlags& flags) {
  // Timeouts and limits are those of the source.
  QUORATE_ASSIGN_OR_RETURN(client::Options options, session->ClientOptions());
  options.tls.reset();
  options.token.clear();
  options.username = flags.dest_user;
  options.password = flags.dest_password;
  const bool tls = !flags.dest_cert.empty() || !flags.dest_key.empty() || !flags.dest_cacert.empty() ||
                   !flags.dest_insecure_transport;
  if (tls) {
    options.tls = client::TlsOptions{
        .ca_file = flags.dest_cacert, .cert_file = flags.dest_cert, .key_file = flags.dest_key};
  }
  options.tls_without_scheme = tls;
  if (flags.dest_user.empty() || !flags.dest_password.empty()) return options;
  if (const size_t colon = flags.dest_user.find(':'); colon != std::string::npos) {
    options.username = flags.dest_user.substr(0, colon);
    options.password = flags.dest_user.substr(colon + 1);
    return options;
  }
  options.password = AskPassword("Destination Password: ");
  return options;
}

MirrorOptions OptionsOf(const MirrorFlags& flags) {
  MirrorOptions options{.prefix = flags.prefix, .dest_prefix = flags.dest_prefix, .revision = flags.rev};
  if (!flags.no_dest_prefix && flags.dest_prefix.empty()) options.dest_prefix = flags.prefix;
  options.max_txn_ops = flags.max_txn_ops;
  return options;
}

// Prints now and then how many keys were copied.
void Report(const std::stop_token& stop, const Mirror& mirror) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, stop, kReportInterval, [&] { return stop.stop_requested(); })) {
    Print(std::to_string(mirror.total()) + "\n");
    std::fflush(stdout);
  }
}

int MakeMirror(CtlSession* session, const MirrorFlags& flags, const Arguments& arguments) {
  if (arguments.values.size() != 1) {
    return Fail(ExitCode::kBadArguments, "make-mirror takes one destination argument");
  }
  if (flags.no_dest_prefix && !flags.dest_prefix.empty()) {
    return Fail(ExitCode::kBadArguments,
                "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one");
  }
  if (flags.max_txn_ops == 0) return Fail(ExitCode::kBadArguments, "--max-txn-ops must be at least 1");
  if (const auto ended = session->Prepare()) return *ended;
  auto options = DestOptions(session, flags);
  if (!options.ok()) return session->Fail(options.status(), ExitCode::kBadArguments);
  options->endpoints = {arguments.values[0]};
  const auto dest = client::Client::Connect(*std::move(options));
  if (!dest.ok()) {
    const bool wrong_flag = absl::IsInvalidArgument(dest.status());
    return session->Fail(dest.status(), wrong_flag ? ExitCode::kBadArguments : ExitCode::kBadConnection);
  }
  client::Client* const source = session->Connect();
  if (source == nullptr) return session->exit_code();
  Mirror mirror(source, dest->get(), OptionsOf(flags), [](std::string_view why) {
    std::fprintf(stderr, "trying again: %.*s\n", static_cast<int>(why.size()), why.data());
  });
  const std::jthread reporter([&](const std::stop_token& stop) { Report(stop, mirror); });
  return session->Fail(mirror.Run());
}

}  // namespace

void AddMakeMirrorCommand(CommandTree* tree, CtlSession* session) {
  const auto flags = std::make_shared<MirrorFlags>();
  CLI::App* command = tree->Add(tree->root(), "make-mirror", "Makes a mirror at the destination etcd cluster",
                                "[options] <destination>", [=](const Arguments& arguments) {
                                  return MakeMirror(session, *flags, arguments);
                                });
  command->add_option("--prefix", flags->prefix, "Key-value prefix to mirror");
  command->add_option(
      "--dest-prefix", flags->dest_prefix,
      "destination prefix to mirror a prefix to a different prefix in the destination cluster");
  command->add_flag("--no-dest-prefix", flags->no_dest_prefix,
                    "mirror key-values to the root of the destination cluster");
  command->add_option("--rev", flags->rev, "Specify the kv revision to start to mirror");
  command
      ->add_option("--max-txn-ops", flags->max_txn_ops,
                   "Maximum number of operations permitted in a transaction during syncing updates.")
      ->default_str(std::to_string(flags->max_txn_ops));
  command->add_option("--dest-cert", flags->dest_cert,
                      "Identify secure client using this TLS certificate file for the destination cluster");
  command->add_option("--dest-key", flags->dest_key, "Identify secure client using this TLS key file");
  command->add_option("--dest-cacert", flags->dest_cacert,
                      "Verify certificates of TLS enabled secure servers using this CA bundle");
  command
      ->add_flag("--dest-insecure-transport", flags->dest_insecure_transport,
                 "Disable transport security for client connections")
      ->default_str("true");
  command->add_option(
      "--dest-user", flags->dest_user,
      "Destination username[:password] for authentication (prompt if password is not supplied)");
  command->add_option(
      "--dest-password", flags->dest_password,
      "Destination password for authentication (if this option is used, --dest-user should not "
      "include password)");
}

}  // namespace quorate::cmd
