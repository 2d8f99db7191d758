using System.Diagnostics;

namespace Quorumail.Server.Torture.Ledger;

/// <summary>The longest time without something.</summary>
internal static class LongestGap
{
    /// <summary>The longest time without one of some moments, from a timestamp to another.</summary>
    public static TimeSpan Of(IEnumerable<long> moments, long from, long to)
    {
        var longest = 0L;
        var last = from;
        foreach (var at in moments.Where(at => at > from && at < to).Order())
        {
            longest = Math.Max(longest, at - last);
            last = at;
        }

        return Stopwatch.GetElapsedTime(0, Math.Max(longest, to - last));
    }
}
