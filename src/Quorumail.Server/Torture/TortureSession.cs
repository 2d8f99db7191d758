using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Quorumail.Core.Cluster;
using Quorumail.Server.CommandLine;
using Quorumail.Server.Torture.Cluster;
using Quorumail.Server.Torture.Report;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.Server.Torture;

/// <summary>A torture from its start to its exit code: sink, cluster, run, report, and the signals that end it.</summary>
internal sealed class TortureSession(TorturePlan plan, TextWriter output, TextWriter error, bool json)
{
    private int _signals;

    /// <summary>A name that no other run has.</summary>
    public static string NewName() => string.Create(
        CultureInfo.InvariantCulture, $"t{DateTimeOffset.UtcNow.ToUnixTimeSeconds():x}{Random.Shared.Next(0x1000):x3}");

    /// <summary>Runs, and returns the exit code.</summary>
    /// <param name="cluster">What is tortured; it owns the sink.</param>
    /// <param name="sinkAt">Where the sink listens; null: on a free port of 127.0.0.1.</param>
    public async Task<int> RunAsync(Func<SmtpSink, TortureLog, ITortureCluster> cluster, PeerAddress? sinkAt)
    {
        using var stop = new CancellationTokenSource();
        using var abort = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        var log = new TortureLog(json ? error : output);
        try
        {
            await using var tortured = cluster(await OpenSinkAsync(sinkAt, stop.Token), log);
            log.Say(string.Create(
                CultureInfo.InvariantCulture, $"seed {plan.Seed}, {plan.Duration.TotalMinutes:0.##} minutes, {plan.Sessions} connections to each of {tortured.Nodes.Count} {(tortured.Nodes.Count == 1 ? "node" : "nodes")}"));
            await tortured.StartAsync(stop.Token);
            var report = await new TortureRun(tortured, plan, log).RunAsync(stop.Token, abort.Token);
            await output.WriteLineAsync(json ? TortureJson.Render(report) : TortureText.Render(report).TrimEnd());
            return report.IsGreen ? ExitCode.Success : ExitCode.NotDone;
        }
        catch (TortureException refused)
        {
            log.Write("");
            await error.WriteLineAsync($"smtp-server: {refused.Message}");
            return ExitCode.CannotStart;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            log.Write("ended; nothing was settled");
            return ExitCode.Interrupted;
        }

        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            (Interlocked.Increment(ref _signals) == 1 ? stop : abort).Cancel();
        }
    }

    private async Task<SmtpSink> OpenSinkAsync(PeerAddress? at, CancellationToken token)
    {
        var address = at is null ? IPAddress.Loopback : await GivenCluster.ResolveAsync(at, token);
        try
        {
            return new SmtpSink(new IPEndPoint(address, at?.Port ?? 0))
            {
                // A notice has no sender, and a leftover of another run another name.
                Counts = (sender, copy) => sender.Length > 0 && (copy.Id.Length == 0 || copy.Id.StartsWith(plan.Name, StringComparison.Ordinal)),
            };
        }
        catch (SocketException e)
        {
            throw new TortureException(e.SocketErrorCode == SocketError.AddressNotAvailable
                ? $"--sink {at}: {address} is no address of this machine; say one by which the nodes reach it, or 0.0.0.0:{at!.Port}"
                : $"--sink {at}: can't listen there ({e.Message})");
        }
    }
}
