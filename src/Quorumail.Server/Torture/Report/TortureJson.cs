using System.Text.Json;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Report;

/// <summary>A report for programs. Durations are seconds, rates messages a second; lists name the messages and recipients of broken promises.</summary>
internal static class TortureJson
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Renders it.</summary>
    public static string Render(TortureReport report) => JsonSerializer.Serialize(
        new
        {
            result = report.IsBroken ? "broken" : report.IsGreen ? "kept" : "not-shown",
            seed = report.Seed,
            nodes = report.Nodes,
            sessions = report.Sessions,
            seconds = Seconds(report.Elapsed),
            ended_early = report.IsCutShort,
            messages = new
            {
                acknowledged = report.Count(SendOutcome.Acknowledged),
                answered_451 = report.Count(SendOutcome.Deferred),
                refused = report.Count(SendOutcome.Refused),
                unknown = report.Count(SendOutcome.Unknown),
            },
            recipients = new
            {
                acknowledged = report.Ledger.Acknowledged,
                unknown_but_delivered = report.Ledger.UnknownButDelivered,
                lost = report.Ledger.Lost,
                corrupt = report.Ledger.Corrupt,
                phantom = report.Ledger.Phantom,
                duplicate_listed = report.Ledger.DuplicateListed.Count,
                duplicate_unlisted = report.Ledger.DuplicateUnlisted,
                committed_after_451_listed = report.Ledger.CommittedAfter451.Count,
                committed_after_451_unlisted = report.Ledger.CommittedAfter451Unlisted,
                listed_without_cause = report.Ledger.ListedWithoutCause,
            },
            other_mail = report.Others,
            rate_without_faults = Math.Round(report.CalmRate, 1),
            rate_under_faults = report.FaultRate is { } rate ? Math.Round(rate, 1) : (double?)null,
            longest_gap = Seconds(report.LongestGap),
            faults = report.Faults.Select(fault => new
            {
                name = fault.Name,
                kind = fault.Kind,
                stops_majority = fault.IsStop,
                gap = Seconds(fault.Gap),
                recovery = fault.Recovery is { } recovery ? Seconds(recovery) : (double?)null,
            }),
            failures = report.Failures,
            doubts = report.Doubts,
            evidence = report.Evidence,
            kept = report.Kept,
        },
        Indented);

    private static double Seconds(TimeSpan span) => Math.Round(span.TotalSeconds, 2);
}
