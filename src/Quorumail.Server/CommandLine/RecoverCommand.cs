using System.CommandLine;
using System.Text.Json;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Server.Hosting;

namespace Quorumail.Server.CommandLine;

/// <summary>
/// <c>smtp-server cluster recover --force-new-cluster</c>: when a majority is lost for good, founds a new cluster from this
/// node's disk. Says what will happen, and does it only when told to.
/// </summary>
internal sealed class RecoverCommand(CommonOptions common, Option<bool> json)
{
    private const string Agreement = "yes";

    private readonly Option<bool> _force = new("--force-new-cluster") { Description = "found a new cluster from this node's disk; what the others have and it has not is lost" };
    private readonly Option<bool> _yes = new("--yes") { Description = "do not ask" };

    /// <summary>The command.</summary>
    public Command Create()
    {
        var command = new Command("recover", "A majority is lost for good: go on from this node's disk alone. The server must not run.") { _force, _yes };
        command.SetAction((parsed, token) => RunAsync(parsed, token));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken token)
    {
        if (!parsed.GetValue(_force))
        {
            return Complain(ExitCode.BadConfiguration, "there is one way to recover: say --force-new-cluster, and read what it does before you say yes");
        }

        var loaded = common.Load(parsed);
        if (!CommonOptions.Report(loaded, Console.Error))
        {
            return ExitCode.BadConfiguration;
        }

        if (!loaded.Options.Cluster.Enabled)
        {
            return Complain(ExitCode.BadConfiguration, "[cluster] enabled is not set: this node is no member of a cluster. Is this its configuration?");
        }

        try
        {
            await using var node = await OfflineNode.OpenAsync(loaded.Options, TimeProvider.System, token);
            return await RecoverAsync(node.Recovery, parsed.GetValue(_yes), parsed.GetValue(json));
        }
        catch (StartException refused)
        {
            return Complain(ExitCode.CannotStart, refused.Message);
        }
    }

    private static async Task<int> RecoverAsync(ClusterRecovery recovery, bool isAgreed, bool asJson)
    {
        await Console.Error.WriteLineAsync(recovery.Plan.ToString());
        if (!isAgreed && !Ask())
        {
            return Complain(ExitCode.BadConfiguration, $"nothing was changed: answer {Agreement}, or say --yes");
        }

        try
        {
            var report = await recovery.ForceNewClusterAsync();
            await Console.Error.WriteLineAsync();
            await Console.Out.WriteLineAsync(asJson ? ToJson(report) : $"{report}\nStart the server now.");
            return ExitCode.Success;
        }
        catch (Exception failure) when (ClusterSetup.IsStartProblem(failure) || failure is LogFormatException)
        {
            return Complain(ExitCode.CannotStart, $"{failure.Message.TrimEnd('.')}. The node does not start until this has been done again");
        }
    }

    private static bool Ask()
    {
        if (Console.IsInputRedirected)
        {
            return false;
        }

        Console.Error.Write($"\nGo on ({Agreement})? ");
        return string.Equals(Console.In.ReadLine()?.Trim(), Agreement, StringComparison.OrdinalIgnoreCase);
    }

    private static string ToJson(RecoveryReport report) => JsonSerializer.Serialize(new
    {
        node_id = report.NodeId,
        cluster_id = report.ClusterId,
        incarnation = report.Incarnation,
        term = report.Term,
        applied_index = report.AppliedIndex,
        uncertain_entries = report.Uncertain,
        former_members = report.FormerMembers,
    });

    private static int Complain(int code, string text)
    {
        Console.Error.WriteLine($"smtp-server: {text}");
        return code;
    }
}
