// The camera as a row of square pictures, until it is stopped.
const PAUSE_MS = 1000; // between two pictures

export class Camera {
  /** Asks for the one that looks away from the user; throws where it is not there or not allowed. */
  static async open() {
    const camera = new Camera();
    camera.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    camera.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    camera.video.srcObject = camera.stream;
    await camera.video.play();
    return camera;
  }

  /** The middle of a frame, as an ImageBitmap. */
  async* squares() {
    while (this.stream.active) {
      const { video } = this;
      const [width, height] = [video.videoWidth, video.videoHeight];
      const side = Math.min(width, height);
      yield await createImageBitmap(video, (width - side) / 2, (height - side) / 2, side, side);
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }

  stop() {
    for (const track of this.stream.getTracks()) track.stop();
  }
}
