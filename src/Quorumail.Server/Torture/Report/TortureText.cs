using System.Globalization;
using System.Text;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Report;

/// <summary>A report for people: a line a figure, with what it means and what it must be.</summary>
internal static class TortureText
{
    /// <summary>Renders it.</summary>
    public static string Render(TortureReport report)
    {
        var text = new StringBuilder();
        text.Append('\n').Append(Result(report)).Append("\n\n");
        var ledger = report.Ledger;
        text.Append("Messages, by the answer to the final dot\n");
        Line(text, "250", report.Count(SendOutcome.Acknowledged), $"must arrive, whole, once: {ledger.Acknowledged} recipients");
        Line(text, "451", report.Count(SendOutcome.Deferred), "must not arrive, or be listed");
        Line(text, "refused", report.Count(SendOutcome.Refused), "any other 4xx or 5xx, at any stage: must not arrive");
        Line(text, "unknown", report.Count(SendOutcome.Unknown), "the connection broke before the answer: may arrive or not");
        text.Append("\nRecipients, by what came to the sink\n");
        Line(text, "lost", ledger.Lost.Count, "answered 250, and nothing arrived: must be 0");
        Line(text, "corrupt", ledger.Corrupt.Count, "other octets than were sent: must be 0");
        Line(text, "phantom", ledger.Phantom.Count, "arrived though refused, or to somebody it was not for: must be 0");
        Line(text, "duplicate", ledger.DuplicateUnlisted.Count, "arrived twice, and `queue suspects` does not say so: must be 0");
        Line(text, "  listed", ledger.DuplicateListed.Count, "arrived twice, as `queue suspects` says: nobody can know better (RFC 1047)");
        Line(text, "451, came", ledger.CommittedAfter451Unlisted.Count, "arrived though answered 451, and is not listed: must be 0");
        Line(text, "  listed", ledger.CommittedAfter451.Count, "arrived though answered 451, as `queue suspects` says");
        Line(text, "no cause", ledger.ListedWithoutCause.Count, "on the list of `queue suspects`, and nothing happened to it: must be 0");
        Line(text, "unknown, came", ledger.UnknownButDelivered, "arrived, of those with unknown outcome");
        if (report.Others > 0)
        {
            Line(text, "other mail", report.Others, "not of this run, not judged: notices, leftovers of another run");
        }

        Pace(text, report);
        Faults(text, report);
        List(text, "Broken", report.Failures);
        List(text, "Not shown", report.Doubts);
        List(text, "Which messages", report.Evidence);
        if (report.Kept is { } kept)
        {
            text.Append(CultureInfo.InvariantCulture, $"\nData and logs of the nodes are left in {kept}\n");
        }

        return text.ToString();
    }

    private static string Result(TortureReport report)
    {
        var run = string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Nodes} {(report.Nodes == 1 ? "node" : "nodes")}, {report.Faults.Count} {(report.Faults.Count == 1 ? "fault" : "faults")}, {report.Elapsed.TotalSeconds:0} s, seed {report.Seed}{(report.IsCutShort ? ", ended early" : "")}");
        return report.IsBroken ? $"BROKEN: a promise was not kept. {run}"
            : !report.IsGreen ? $"NOT SHOWN: nothing is known to be broken, but the run proves nothing. {run}"
            : $"KEPT: every promise was kept. {run}";
    }

    private static void Pace(StringBuilder text, TortureReport report)
    {
        text.Append("\nPace\n");
        Line(text, "calm", Rate(report.CalmRate), "messages answered 250, without faults");
        if (report.FaultRate is { } rate)
        {
            Line(text, "faults", Rate(rate), report.Ratio is { } ratio
                ? string.Create(CultureInfo.InvariantCulture, $"the same under faults: {ratio * 100:0} % (a cluster that refuses everything keeps its promises, too)")
                : "the same under faults");
        }

        Line(text, "longest gap", Seconds(report.LongestGap), "in which no node answered 250");
        if (report.Faults.Any(fault => fault.IsStop) && report.Faults.Where(fault => !fault.IsStop).ToArray() is { Length: > 0 } others)
        {
            Line(text, "  majority", Seconds(others.Max(fault => fault.Gap)), "the same while a majority ran");
        }
    }

    private static void Faults(StringBuilder text, TortureReport report)
    {
        if (report.Faults.Count == 0)
        {
            return;
        }

        text.Append("\nFaults                       how often   longest gap   all take mail again after\n");
        foreach (var kind in report.Faults.GroupBy(fault => fault.Kind, StringComparer.Ordinal).OrderBy(kind => kind.Key, StringComparer.Ordinal))
        {
            var recovery = kind.Any(fault => fault.Recovery is null) ? "never" : Seconds(kind.Max(fault => fault.Recovery)!.Value);
            text.Append(CultureInfo.InvariantCulture, $"  {kind.Key,-27}{kind.Count(),9}{Seconds(kind.Max(fault => fault.Gap)),14}{recovery,28}\n");
        }
    }

    private static void List(StringBuilder text, string title, IReadOnlyList<string> lines)
    {
        if (lines.Count > 0)
        {
            text.Append('\n').Append(title).Append('\n');
            text.AppendJoin("", lines.Select(line => $"  {line}\n"));
        }
    }

    private static void Line(StringBuilder text, string name, int count, string meaning) =>
        Line(text, name, count.ToString(CultureInfo.InvariantCulture), meaning);

    private static void Line(StringBuilder text, string name, string figure, string meaning) =>
        text.Append(CultureInfo.InvariantCulture, $"  {name,-14}{figure,9}  {meaning}\n");

    private static string Rate(double rate) => string.Create(CultureInfo.InvariantCulture, $"{rate:0}/s");

    private static string Seconds(TimeSpan span) => string.Create(CultureInfo.InvariantCulture, $"{span.TotalSeconds:0.0} s");
}
