using System.Diagnostics;
using System.Globalization;
using Quorumail.Server.Torture.Cluster;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Report;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.Server.Torture;

/// <summary>
/// Sends mail through a cluster, first without faults and then with them, and settles the account of every message. A long
/// run is settled in parts, so that it needs no more memory than a short one.
/// </summary>
internal sealed class TortureRun(ITortureCluster cluster, TorturePlan plan, TortureLog log)
{
    /// <summary>After so many messages the account is settled before more are sent: a hundred megabytes or two.</summary>
    private const int MessagesPerPart = 250_000;

    /// <summary>So many messages of each kind of broken promise are named with the server's answer.</summary>
    private const int Named = 20;

    private static readonly TimeSpan RecoveryLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan FirstMailLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ProgressPause = TimeSpan.FromSeconds(10);

    private readonly Random _random = new(plan.Seed);
    private readonly List<FaultLine> _faults = [];
    private readonly List<string> _failures = [];
    private readonly List<string> _doubts = [];
    private readonly List<string> _evidence = [];
    private readonly Dictionary<SendOutcome, int> _messages = [];
    private readonly HashSet<ListedSuspect> _listed = [];
    private readonly long _start = Stopwatch.GetTimestamp();
    private LedgerVerdict _ledger = LedgerVerdict.Empty;
    private TimeSpan _longestGap;
    private TimeSpan _underFaults;
    private long _acknowledgedUnderFaults;
    private double _calmRate;
    private bool _hasLostOwners;

    private bool HasTrouble => _failures.Count + _doubts.Count + cluster.Failures.Count > 0 || !_ledger.IsGreen;

    /// <summary>Runs.</summary>
    /// <param name="stop">Ends the sending; what was sent is settled all the same.</param>
    /// <param name="abort">Ends everything.</param>
    public async Task<TortureReport> RunAsync(CancellationToken stop, CancellationToken abort)
    {
        cluster.Sink.Script = new SinkTrouble(_random.Next()).Decide;
        var sending = Stopwatch.GetTimestamp();
        for (var part = 0; part == 0 || (IsTimeLeft() && !stop.IsCancellationRequested && !HasTrouble); part++)
        {
            await PartAsync(part, IsTimeLeft, stop, abort);
        }

        if (_underFaults > TimeSpan.Zero && _acknowledgedUnderFaults == 0)
        {
            _doubts.Add("no message was answered 250 after the time without faults: a cluster that takes nothing loses nothing");
        }
        else if (_ledger.Acknowledged == 0)
        {
            _doubts.Add("no message was answered 250");
        }

        return Report(stop.IsCancellationRequested);

        bool IsTimeLeft() => Stopwatch.GetElapsedTime(sending) < plan.Duration;
    }

    private async Task PartAsync(int part, Func<bool> isTimeLeft, CancellationToken stop, CancellationToken abort)
    {
        await using var traffic = MailTraffic.Start(
            plan, cluster.Nodes, string.Create(CultureInfo.InvariantCulture, $"{plan.Name}-{part}"), _random.Next(), abort);
        var began = Stopwatch.GetTimestamp();
        try
        {
            if (part == 0)
            {
                await StayCalmAsync(traffic, stop);
            }

            var (from, before) = (Stopwatch.GetTimestamp(), traffic.Acknowledged);
            try
            {
                while (isTimeLeft() && traffic.Count < MessagesPerPart && !HasTrouble)
                {
                    await TryAsync(() => NextAsync(traffic, stop));
                }
            }
            finally
            {
                _underFaults += Stopwatch.GetElapsedTime(from);
                _acknowledgedUnderFaults += traffic.Acknowledged - before;
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested && !abort.IsCancellationRequested)
        {
            log.Say("told to stop: what was sent is settled first (again: end at once)");
        }

        var gap = traffic.LongestGap(began, Stopwatch.GetTimestamp());
        _longestGap = gap > _longestGap ? gap : _longestGap;
        log.Begin("no more mail is sent; all nodes are to run, the queue is to become empty");
        await TryAsync(() => cluster.MendAsync(abort));
        await TryAsync(traffic.StopAsync);
        await SettleAsync([.. traffic.Sent], abort);
    }

    private async Task TryAsync(Func<Task> action)
    {
        try
        {
            await action();
        }
        catch (TortureException e)
        {
            _doubts.Add(e.Message);
        }
        catch (InvalidDataException e)
        {
            _failures.Add($"a node broke the protocol: {e.Message}");
        }
    }

    private async Task StayCalmAsync(MailTraffic traffic, CancellationToken stop)
    {
        log.Begin(string.Create(CultureInfo.InvariantCulture, $"mail without faults for {plan.Calm.TotalSeconds:0.#} s"));
        if (!await traffic.UntilAllTakeMailAsync(FirstMailLimit, stop))
        {
            _doubts.Add(string.Create(CultureInfo.InvariantCulture, $"not every node took mail within {FirstMailLimit.TotalSeconds} s, before any fault was made"));
            return;
        }

        var (from, before) = (Stopwatch.GetTimestamp(), traffic.Acknowledged);
        await Task.Delay(plan.Calm, stop);
        _calmRate = (traffic.Acknowledged - before) / Stopwatch.GetElapsedTime(from).TotalSeconds;
        log.End(string.Create(CultureInfo.InvariantCulture, $"{_calmRate:0} messages/s answered 250"));
    }

    // A fault with all that follows from it, or a while without one where others make them.
    private async Task NextAsync(MailTraffic traffic, CancellationToken stop)
    {
        if (await cluster.DrawAsync(_random, stop) is not { } fault)
        {
            var (from, before) = (Stopwatch.GetTimestamp(), traffic.Acknowledged);
            await Task.Delay(ProgressPause, stop);
            log.Say(string.Create(
                CultureInfo.InvariantCulture,
                $"{(traffic.Acknowledged - before) / ProgressPause.TotalSeconds:0} messages/s answered 250, longest gap {traffic.LongestGap(from, Stopwatch.GetTimestamp()).TotalSeconds:0.0} s"));
            return;
        }

        // Somebody else's commands may print something: theirs is the next line.
        Action<string> announce = cluster.Directory is null ? log.Say : log.Begin;
        announce(string.Create(CultureInfo.InvariantCulture, $"{fault.Name}, {fault.Lasts.TotalSeconds:0.0} s"));
        var began = Stopwatch.GetTimestamp();
        _hasLostOwners |= fault.Kind != ProcessFaults.Graceful;
        await fault.BreakAsync(stop);
        await Task.Delay(fault.Lasts, stop);
        await fault.MendAsync(stop);
        var mended = Stopwatch.GetTimestamp();
        var isWell = await traffic.UntilAllTakeMailAsync(RecoveryLimit, stop);
        var line = new FaultLine(
            fault.Name, fault.Kind, fault.IsStop, traffic.LongestGap(began, Stopwatch.GetTimestamp()), isWell ? Stopwatch.GetElapsedTime(mended) : null);
        _faults.Add(line);
        if (line.Recovery is { } recovery)
        {
            log.End(string.Create(
                CultureInfo.InvariantCulture,
                $"longest gap {line.Gap.TotalSeconds:0.0} s, all take mail {recovery.TotalSeconds:0.0} s after the end; {traffic.Acknowledged} answered 250"));
            await Task.Delay(TimeSpan.FromSeconds(_random.NextDouble() * 2), stop);
        }
        else
        {
            var text = string.Create(CultureInfo.InvariantCulture, $"after {fault.Name} not every node took mail again within {RecoveryLimit.TotalSeconds} s");
            (cluster.Directory is null ? _doubts : _failures).Add(text);
            log.End(text);
        }
    }

    private async Task SettleAsync(IReadOnlyCollection<SentMessage> sent, CancellationToken abort)
    {
        foreach (var (outcome, count) in sent.CountBy(message => message.Outcome))
        {
            _messages[outcome] = _messages.GetValueOrDefault(outcome) + count;
        }

        var limit = cluster.DrainLimit;
        var start = Stopwatch.GetTimestamp();
        await cluster.Sink.UntilDeliveredAsync(sent, limit, abort);
        long? queued = null;
        try
        {
            await Deadline.UntilAsync(
                async token => (queued = await cluster.Api.QueuedAsync(plan.Domain, token)) == 0,
                limit - Stopwatch.GetElapsedTime(start) is var left && left > TimeSpan.FromSeconds(10) ? left : TimeSpan.FromSeconds(10),
                static () => "",
                abort);
        }
        catch (TimeoutException)
        {
            (cluster.Directory is null || queued is null ? _doubts : _failures).Add(queued is null
                ? $"no node tells what is queued: {cluster.Api.LastFault}"
                : string.Create(CultureInfo.InvariantCulture, $"{queued} messages are queued still, {limit.TotalMinutes:0} minutes after the last one was sent; what is lost below may be among them"));
        }

        var suspects = await cluster.Api.SuspectsAsync(abort);
        if (suspects is null)
        {
            _doubts.Add($"no node tells its list of suspects, so that every duplicate counts as not listed: {cluster.Api.LastFault}");
        }

        // Others' mail may be on the list of others' clusters, and what happened there is not known.
        ListedSuspect[] ofPart = [.. (suspects ?? []).Except(_listed)];
        _listed.UnionWith(ofPart);
        var causes = cluster.Directory is null ? null : new SuspectCauses(cluster.Sink.Unanswered, _hasLostOwners);
        var verdict = MailLedger.Settle(sent, cluster.Sink.Copies, ofPart, causes);
        _evidence.AddRange(Evidence.Of(verdict, sent, cluster.Sink.Copies, Named));
        _ledger += verdict;
        cluster.Sink.Forget();
        log.End(string.Create(
            CultureInfo.InvariantCulture,
            $"{Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s; {verdict.Acknowledged} recipients promised, {verdict.Lost.Count} lost"));
    }

    private TortureReport Report(bool isCutShort)
    {
        if (HasTrouble)
        {
            cluster.Keep();
        }

        return new TortureReport
        {
            Seed = plan.Seed,
            Nodes = cluster.Nodes.Count,
            Sessions = plan.Sessions,
            Elapsed = Stopwatch.GetElapsedTime(_start),
            IsCutShort = isCutShort,
            Messages = _messages,
            Ledger = _ledger,
            Others = cluster.Sink.Others,
            CalmRate = _calmRate,
            FaultRate = _underFaults > TimeSpan.Zero ? _acknowledgedUnderFaults / _underFaults.TotalSeconds : null,
            LongestGap = _longestGap,
            Faults = _faults,
            Failures = [.. _failures, .. cluster.Failures],
            Doubts = _doubts,
            Evidence = _evidence,
            Kept = HasTrouble ? cluster.Directory : null,
        };
    }
}
