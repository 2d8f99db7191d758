using Quorumail.Server.Torture.Ledger;

namespace Quorumail.EndToEnd.Ledger;

/// <summary>A ledger that can't turn red proves nothing: each kind of fault is planted here once.</summary>
public sealed class MailLedgerTests
{
    private const string To = "r@sink.example";

    [Fact]
    public void A_run_in_which_everything_arrives_once_is_green()
    {
        var verdict = MailLedger.Settle([Sent(SendOutcome.Acknowledged)], [Copy()], []);
        Assert.True(verdict.IsGreen, verdict.ToString());
        Assert.Equal(1, verdict.Acknowledged);
    }

    [Fact]
    public void An_acknowledged_message_that_does_not_arrive_is_lost() =>
        Assert.Single(Red(MailLedger.Settle([Sent(SendOutcome.Acknowledged)], [], [])).Lost);

    [Fact]
    public void An_acknowledged_message_that_arrives_for_one_of_two_recipients_is_lost_for_the_other()
    {
        var message = new SentMessage("m", [To, "other@sink.example"], SendOutcome.Acknowledged, "");
        Assert.Equal(["m other@sink.example"], Red(MailLedger.Settle([message], [Copy()], [])).Lost);
    }

    [Fact]
    public void Changed_octets_are_corrupt() =>
        Assert.Single(Red(MailLedger.Settle([Sent(SendOutcome.Acknowledged)], [Copy() with { IsIntact = false }], [])).Corrupt);

    [Fact]
    public void A_refused_message_that_arrives_is_a_phantom() =>
        Assert.Single(Red(MailLedger.Settle([Sent(SendOutcome.Refused)], [Copy()], [])).Phantom);

    [Fact]
    public void A_message_that_nobody_sent_is_a_phantom() =>
        Assert.Single(Red(MailLedger.Settle([], [Copy()], [])).Phantom);

    [Fact]
    public void A_copy_for_somebody_outside_the_envelope_is_a_phantom() =>
        Assert.Single(Red(MailLedger.Settle(
            [Sent(SendOutcome.Acknowledged)], [Copy(), Copy() with { Recipient = "stranger@sink.example" }], [])).Phantom);

    [Fact]
    public void A_duplicate_is_red_unless_it_is_listed()
    {
        SentMessage[] sent = [Sent(SendOutcome.Acknowledged)];
        DeliveredCopy[] twice = [Copy(), Copy()];
        Assert.Single(Red(MailLedger.Settle(sent, twice, [])).DuplicateUnlisted);
        Assert.Single(Red(MailLedger.Settle(sent, twice, [new ListedSuspect("Q", "other@sink.example", "owner-lost")])).DuplicateUnlisted);
        Assert.Single(Green(MailLedger.Settle(sent, twice, [new ListedSuspect("Q", To, "owner-lost")])).DuplicateListed);
        Assert.Single(Green(MailLedger.Settle(sent, twice, [new ListedSuspect("Q", "", "250-unread")])).DuplicateListed);
    }

    [Fact]
    public void A_message_answered_451_that_arrives_is_red_unless_it_is_listed()
    {
        SentMessage[] sent = [Sent(SendOutcome.Deferred)];
        Assert.Single(Red(MailLedger.Settle(sent, [Copy()], [])).CommittedAfter451Unlisted);
        Assert.Single(Green(MailLedger.Settle(sent, [Copy()], [new ListedSuspect("Q", "", "answered-451")])).CommittedAfter451);
        Green(MailLedger.Settle(sent, [], []));
    }

    [Fact]
    public void A_message_of_unknown_outcome_may_arrive_or_not()
    {
        Assert.Equal(1, Green(MailLedger.Settle([Sent(SendOutcome.Unknown)], [Copy()], [])).UnknownButDelivered);
        Green(MailLedger.Settle([Sent(SendOutcome.Unknown)], [], []));
    }

    [Fact]
    public void An_entry_of_the_list_that_nothing_explains_is_red()
    {
        SuspectCauses none = new(new HashSet<string>(), OwnersLost: false);
        SentMessage[] known = [Sent(SendOutcome.Acknowledged) with { Reply = "250 2.0.0 queued as Q" }];
        foreach (var reason in (string[])["no-reply-after-dot", "owner-lost", "answered-451", "250-unread", "something-new"])
        {
            Assert.Equal([$"Q {To} {reason}"], Red(MailLedger.Settle(known, [Copy()], [new ListedSuspect("Q", To, reason)], none)).ListedWithoutCause);
        }

        Assert.Single(Red(MailLedger.Settle(known, [Copy()], [new ListedSuspect("X", To, "owner-lost")], none with { OwnersLost = true })).ListedWithoutCause);
        Assert.Single(Red(MailLedger.Settle(known, [Copy()], [new ListedSuspect("X", "", "answered-451")], none)).ListedWithoutCause);
    }

    [Fact]
    public void An_entry_of_the_list_that_something_explains_is_green()
    {
        SuspectCauses none = new(new HashSet<string>(), OwnersLost: false);
        SentMessage[] known = [Sent(SendOutcome.Acknowledged) with { Reply = "250 2.0.0 queued as Q" }];
        Green(MailLedger.Settle(known, [Copy()], [new ListedSuspect("Q", To, "no-reply-after-dot")], none with { Unanswered = new HashSet<string> { "Q" } }));
        Green(MailLedger.Settle(known, [Copy()], [new ListedSuspect("Q", To, "owner-lost")], none with { OwnersLost = true }));
        Green(MailLedger.Settle([Sent(SendOutcome.Deferred)], [Copy()], [new ListedSuspect("Q", "", "answered-451")], none));
        Green(MailLedger.Settle([Sent(SendOutcome.Unknown)], [], [new ListedSuspect("X", "", "250-unread")], none));
    }

    private static SentMessage Sent(SendOutcome outcome) => new("m", [To], outcome, "");

    private static DeliveredCopy Copy() => new("m", "Q", To, IsIntact: true);

    private static LedgerVerdict Red(LedgerVerdict verdict)
    {
        Assert.False(verdict.IsGreen, verdict.ToString());
        return verdict;
    }

    private static LedgerVerdict Green(LedgerVerdict verdict)
    {
        Assert.True(verdict.IsGreen, verdict.ToString());
        return verdict;
    }
}
