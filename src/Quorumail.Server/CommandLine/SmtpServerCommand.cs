using System.CommandLine;
using Quorumail.Server.Configuration;
using Quorumail.Server.Hosting;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.CommandLine;

/// <summary>The command line of <c>smtp-server</c>.</summary>
internal static class SmtpServerCommand
{
    /// <summary>Parses the arguments, does what they ask for and returns the exit code.</summary>
    public static async Task<int> InvokeAsync(string[] arguments)
    {
        var root = new RootCommand("Quorumail: a highly available SMTP server. Without a command it runs the server.");
        var common = new CommonOptions(root);
        root.SetAction((parsed, token) => RunAsync(common.Load(parsed), token));
        root.Subcommands.Add(ConfigCommand(common));
        root.Subcommands.Add(new QueueCommand(common).Create());
        root.Subcommands.Add(new LimitsCommand(common).Create());
        root.Subcommands.Add(new ClusterCommand(common).Create());
        root.Subcommands.Add(new DrainCommand(common).Create());
        root.Subcommands.Add(LogCommand.Create(common));
        root.Subcommands.Add(DemoCommand.Create());
        root.Subcommands.Add(new TortureCommand(common).Create());
        root.Subcommands.Add(PasswordCommand.Create());

        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            foreach (var fault in parsed.Errors)
            {
                await Console.Error.WriteLineAsync($"smtp-server: {fault.Message}");
            }

            await Console.Error.WriteLineAsync("See smtp-server --help.");
            return ExitCode.BadConfiguration;
        }

        // Signals are the server's own business: it stops by itself, within its bound.
        return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
    }

    private static async Task<int> RunAsync(LoadedConfig loaded, CancellationToken token) =>
        CommonOptions.Report(loaded, Console.Error)
            ? await ServerProcess.RunAsync(loaded, token)
            : ExitCode.BadConfiguration;

    private static Command ConfigCommand(CommonOptions common)
    {
        var check = new Command("check", "Check the configuration; print every effective value and where it comes from.");
        check.SetAction(parsed =>
        {
            var loaded = common.Load(parsed);
            if (!CommonOptions.Report(loaded, Console.Error))
            {
                return ExitCode.BadConfiguration;
            }

            var errors = new List<string>();
            SmtpHosting.CreateDirectory(loaded.Options, errors);
            errors.ForEach(error => Console.Error.WriteLine($"smtp-server: {error}"));
            ConfigReport.Write(loaded, Console.Out);
            return errors.Count == 0 ? ExitCode.Success : ExitCode.BadConfiguration;
        });
        return new Command("config", "The configuration.") { check };
    }
}
