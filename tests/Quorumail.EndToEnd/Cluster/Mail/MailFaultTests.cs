using Quorumail.EndToEnd.Cluster.Faults;
using Quorumail.EndToEnd.Crash;

namespace Quorumail.EndToEnd.Cluster.Mail;

/// <summary>Mail through some of the faults of <see cref="FaultTable"/>; through all of them, at random: <see cref="MailTortureTests"/>.</summary>
[Collection(QuietMachine.Name)]
public sealed class MailFaultTests(ITestOutputHelper output, SharedLab shared) : IClassFixture<SharedLab>
{
    private const int WarmUp = 20;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    /// <summary>A death, a silence, and the end of all power; or those that QUORUMAIL_FAULTS names.</summary>
    public static TheoryData<string> Kinds => [.. FaultTable.Chosen?.Select(fault => fault.Name) ?? ["kill-leader", "leader-cut-off", "power-all"]];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_was_answered_250_arrives_once_or_is_listed_through(string kind)
    {
        output.WriteLine($"QUORUMAIL_SEED={CrashPlan.Seed}");
        var fault = FaultTable.Of(kind);
        if (fault.Obstacle() is { } obstacle)
        {
            Assert.Skip(obstacle);
        }

        var lab = await shared.TakeAsync(Token);
        var random = new Random((CrashPlan.Seed * 397) + FaultTable.All.TakeWhile(each => each != fault).Count());
        await using var mail = MailWorkload.Start(lab, shared.NewName(), random.Next(), new SinkTrouble(random.Next()).Decide, Token);
        await mail.UntilAcknowledgedAsync(WarmUp, Limit, Token);
        var report = await new FaultRun(lab, mail, random, Token).RunAsync([fault], fault.Lasts);
        await mail.StopAsync();
        output.WriteLine(report.ToString());
        output.WriteLine(mail.Summary());
        var verdict = await mail.SettleAsync(Token);
        output.WriteLine(verdict.ToString());
        Assert.True(verdict.IsGreen, $"seed {CrashPlan.Seed}: {verdict}\n{lab.Outputs}");
        Assert.Empty(mail.LateAnswers(lab.Grace));
        shared.GiveBack();
    }
}
