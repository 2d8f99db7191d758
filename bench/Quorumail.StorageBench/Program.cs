using System.Globalization;
using Quorumail.StorageBench;

// storage-bench bodies [directory] [seconds] [lag] [sizes] [writers]: bodies alone; each is deleted once `lag` younger ones are there (-1: never).
// storage-bench queue  [directory] [seconds] [sizes] [writers]: body, Enqueue, AttemptStarted, AttemptEnded of each message.
// storage-bench depth  [directory] [messages]: fills a queue, and opens it again.
// storage-bench large  [directory] [messages] [megabytes]: so many large bodies at once.
var mode = args.Length > 0 ? args[0] : "bodies";
var directory = args.Length > 1 ? args[1] : Path.Combine(Path.GetTempPath(), "storage-bench");
if (Directory.Exists(directory))
{
    Directory.Delete(directory, recursive: true);
}

switch (mode)
{
    case "bodies":
        await Measure.BodiesAsync(directory, Number(2, 3), Number(3, 100), Numbers(4, 4 << 10, 50 << 10), Numbers(5, 1, 20, 100));
        break;
    case "queue":
        await Measure.QueueAsync(directory, Number(2, 3), Numbers(3, 4 << 10, 50 << 10), Numbers(4, 1, 20, 100));
        break;
    case "depth":
        await Measure.DepthAsync(directory, Number(2, 500_000));
        break;
    case "large":
        await Measure.LargeAsync(directory, Number(2, 50), Number(3, 25));
        break;
    default:
        Console.Error.WriteLine("bodies, queue, depth or large");
        return 2;
}

if (Directory.Exists(directory))
{
    Directory.Delete(directory, recursive: true);
}

return 0;

int Number(int at, int otherwise) => args.Length > at ? int.Parse(args[at], CultureInfo.InvariantCulture) : otherwise;

int[] Numbers(int at, params int[] otherwise) => args.Length > at
    ? [.. args[at].Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture))]
    : otherwise;
