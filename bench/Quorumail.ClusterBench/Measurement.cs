namespace Quorumail.ClusterBench;

/// <summary>One cell of the table; with no writers, what idle nodes cost.</summary>
/// <param name="Name">Whose.</param>
/// <param name="Writers">Writers that wait for their answers.</param>
/// <param name="Size">Bytes of a value.</param>
/// <param name="Rate">Writes a second.</param>
/// <param name="Median">Latency in ms.</param>
/// <param name="Slow">99th percentile in ms.</param>
/// <param name="Processor">CPU of all nodes in ms a write; idle, cores a node.</param>
/// <param name="Megabytes">Resident memory a node, if idle.</param>
internal sealed record Measurement(string Name, int Writers, int Size, double Rate, double Median, double Slow, double Processor, double Megabytes)
{
    public static Measurement Idle(string name, double cores, double megabytes) => new(name, 0, 0, 0, 0, 0, cores, megabytes);
}
