using System.Globalization;

namespace Quorumail.ClusterBench;

/// <summary>Medians over the rounds, as Markdown.</summary>
internal static class Report
{
    public static void Write(List<Measurement> measurements)
    {
        Console.WriteLine("| writers | value, B | system | writes/s | p50 ms | p99 ms | CPU of all nodes, ms a write |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var cell in measurements.Where(m => m.Writers > 0).GroupBy(m => (m.Size, m.Writers, m.Name)).OrderBy(c => c.Key.Size).ThenBy(c => c.Key.Writers))
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {cell.Key.Writers} | {cell.Key.Size} | {cell.Key.Name} | {Median(cell, m => m.Rate):F0} | {Median(cell, m => m.Median):F2} | {Median(cell, m => m.Slow):F2} | {Median(cell, m => m.Processor):F3} |"));
        }

        Console.WriteLine();
        Console.WriteLine("| system | idle CPU a node, % of a core | memory a node, MiB |");
        Console.WriteLine("|---|---|---|");
        foreach (var system in measurements.Where(m => m.Writers == 0).GroupBy(m => m.Name, StringComparer.Ordinal))
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"| {system.Key} | {100 * Median(system, m => m.Processor):F1} | {Median(system, m => m.Megabytes):F0} |"));
        }
    }

    private static double Median(IEnumerable<Measurement> cell, Func<Measurement, double> figure)
    {
        var sorted = cell.Select(figure).Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
