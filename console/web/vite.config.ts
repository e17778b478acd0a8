import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const API = "http://127.0.0.1:8400";

export default defineConfig({
  plugins: [react()],
  // The policy of the pages lets in no data: and no inline script.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false }, target: "es2023" },
  server: { host: "127.0.0.1", proxy: { "/api": API, "/v1": API } },
});
