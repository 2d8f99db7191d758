using System.Diagnostics;
using System.Globalization;
using System.Text;
using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Cluster.Lab;
using Quorumail.EndToEnd.Crash;
using Quorumail.Server.Torture;
using Quorumail.Server.Torture.Ledger;
using Quorumail.Server.Torture.Sink;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>Mail through faults drawn at random, for as long as one likes: <c>./torture.sh mail --minutes N --seed S</c>.</summary>
[Collection(QuietMachine.Name)]
public sealed class MailTortureTests(ITestOutputHelper output)
{
    private const int FaultsPerChapter = 5;
    private const double UsageGrowthMax = 1.3;

    private static readonly TimeSpan Faultless = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Random _random = new(CrashPlan.Seed);
    private readonly List<FaultReport> _reports = [];
    private readonly List<LedgerVerdict> _verdicts = [];
    private readonly long _start = Stopwatch.GetTimestamp();
    private (TimeSpan Time, long Messages) _underFaults;
    private (TimeSpan Time, long Messages) _withMajority;
    private double _faultlessRate;
    private bool _disksFail;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public async Task Mail_survives_random_faults()
    {
        Say(string.Create(CultureInfo.InvariantCulture, $"{TorturePlan.Nodes} nodes, {TorturePlan.Duration.TotalMinutes} minutes, seed {CrashPlan.Seed}"));
        if (NetworkLab.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        await using var lab = await ClusterLab.StartAsync(TorturePlan.Nodes, LabTimers.Guide, CrashPlan.Seed, Token);
        try
        {
            await ChapterAsync(lab, "calm", WithoutFaultsAsync);
            LabUsage? warm = null;
            for (var chapter = 0; Stopwatch.GetElapsedTime(_start) < TorturePlan.Duration; chapter++)
            {
                await ChapterAsync(lab, string.Create(CultureInfo.InvariantCulture, $"t{chapter}"), WithFaultsAsync);
                warm ??= LabUsage.Of(lab);
            }

            await CheckEndAsync(lab, warm ?? LabUsage.Of(lab));
        }
        finally
        {
            output.WriteLine(Sum());
        }
    }

    private async Task ChapterAsync(ClusterLab lab, string name, Func<ClusterLab, MailWorkload, Task> passAsync)
    {
        await using var mail = await MailWorkload.StartAsync(lab, name, _random.Next(), new SinkTrouble(_random.Next()).Decide, Token);
        await mail.UntilAcknowledgedAsync(1, Limit, Token);
        await passAsync(lab, mail);
        await mail.StopAsync();
        Say(mail.Summary());
        var verdict = await mail.SettleAsync(Token);
        _verdicts.Add(verdict);
        Say(verdict.ToString());
        var late = mail.LateAnswers(lab.Grace);
        if ((!verdict.IsGreen || late.Count > 0) && Environment.GetEnvironmentVariable("QUORUMAIL_KEEP") is { Length: > 0 } place)
        {
            await lab.KeepAsync(place);
        }

        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        Assert.Empty(late);
    }

    private async Task WithoutFaultsAsync(ClusterLab lab, MailWorkload mail)
    {
        var (began, before) = (Stopwatch.GetTimestamp(), mail.Acknowledged);
        await Task.Delay(Faultless, Token);
        _faultlessRate = (mail.Acknowledged - before) / Stopwatch.GetElapsedTime(began).TotalSeconds;
        Say(string.Create(CultureInfo.InvariantCulture, $"without faults: {_faultlessRate:0} messages/s"));
    }

    private async Task WithFaultsAsync(ClusterLab lab, MailWorkload mail)
    {
        for (var i = 0; i < FaultsPerChapter && Stopwatch.GetElapsedTime(_start) < TorturePlan.Duration; i++)
        {
            var (faults, lasts) = FaultDraw.Next(_random);
            _disksFail |= faults.Any(fault => fault.StopsNode);
            Say(string.Create(CultureInfo.InvariantCulture, $"{string.Join(" + ", faults)} for {lasts.TotalSeconds:0.0} s"));
            var (began, before) = (Stopwatch.GetTimestamp(), mail.Acknowledged);
            var report = await new FaultRun(lab, mail, _random, Token).RunAsync(faults, lasts);
            _reports.Add(report);
            Say(report.ToString());
            var (took, messages) = (Stopwatch.GetElapsedTime(began), mail.Acknowledged - before);
            _underFaults = (_underFaults.Time + took, _underFaults.Messages + messages);
            if (!report.IsStop)
            {
                _withMajority = (_withMajority.Time + took, _withMajority.Messages + messages);
            }
        }
    }

    // What no chapter's account shows.
    private async Task CheckEndAsync(ClusterLab lab, LabUsage warm)
    {
        Assert.Empty(lab.TermsWithManyLeaders());
        Assert.Empty(lab.CriticalLines(_disksFail));

        // What was needed under load is given back with time.
        var now = warm;
        await Deadline.UntilAsync(
            () => !warm.ExceededBy(now = LabUsage.Of(lab), UsageGrowthMax).Any(),
            Limit,
            () => $"nodes hold more than {UsageGrowthMax} times as much as after the first faults: {string.Join("; ", warm.ExceededBy(now, UsageGrowthMax))}",
            Token);
        Say($"in use after the first faults: {warm}; in the end: {now}");
    }

    private string Sum()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"recipients acknowledged: {_verdicts.Sum(v => v.Acknowledged)}\n");
        text.Append(CultureInfo.InvariantCulture, $"lost: {_verdicts.Sum(v => v.Lost.Count)}, corrupt: {_verdicts.Sum(v => v.Corrupt.Count)}, phantom: {_verdicts.Sum(v => v.Phantom.Count)}\n");
        text.Append(CultureInfo.InvariantCulture, $"duplicates: {_verdicts.Sum(v => v.DuplicateListed.Count)} listed, {_verdicts.Sum(v => v.DuplicateUnlisted.Count)} not\n");
        text.Append(CultureInfo.InvariantCulture, $"answered 451 and delivered: {_verdicts.Sum(v => v.CommittedAfter451.Count)} listed, {_verdicts.Sum(v => v.CommittedAfter451Unlisted.Count)} not\n");
        FaultReport.Sum(text, _reports, "250");
        text.Append(CultureInfo.InvariantCulture, $"messages/s without faults: {_faultlessRate:0}, under faults: {Rate(_underFaults)}, under those that stop no majority: {Rate(_withMajority)}\n");
        return text.ToString();

        string Rate((TimeSpan Time, long Messages) sum)
        {
            var rate = sum.Time > TimeSpan.Zero ? sum.Messages / sum.Time.TotalSeconds : 0;
            return string.Create(CultureInfo.InvariantCulture, $"{rate:0} ({(_faultlessRate > 0 ? rate / _faultlessRate : 0):P0})");
        }
    }

    private void Say(string what) => output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(_start).TotalSeconds,6:0.0} s  {what}"));
}
